import { execFileSync } from 'node:child_process'
import { readFile, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { floodText } from '../../../container-images/agent/src/mock-shell.ts'
import { FakeControlPlane, type FakeControlPlaneOptions, type Welcome } from '../common/fake-control-plane.ts'
import { command, makeSettings, onTerminal, removeDirectories, startAgent } from './agent-fixture.ts'
import { type AgentProcess, startAgentProcess } from './agent-process.ts'

let plane: FakeControlPlane
let running: AgentProcess | undefined
afterEach(async () => {
  running?.child.kill('SIGKILL')
  running = undefined
  await plane.close()
  await removeDirectories()
})

const mock = (task: string): Pick<Welcome, 'agent'> => ({ agent: { program: 'mock', name: 'Ada', task } })

async function startMock(task: string, options: FakeControlPlaneOptions = {}): Promise<AgentProcess> {
  plane = await FakeControlPlane.start({ ...options, welcome: { ...mock(task), ...options.welcome } })
  running = await startAgentProcess(plane.url)
  return running
}

describe('the mock agent in its container program', () => {
  it('carries out its task and ends with its code, which is told before the end', async () => {
    const { ended, workspace } = await startMock('write a.txt hi there; exit 3')
    expect(await ended).toEqual({ code: 3, signal: null })
    expect(plane.text).toBe('mock> write a.txt hi there; exit 3\r\nwrote a.txt\r\n')
    expect(await readFile(path.join(workspace, 'a.txt'), 'utf8')).toBe('hi there\n')
    // Without a reason: a code says all there is to say.
    expect(plane.exit).toEqual({ action: 'link', type: 'exit', exitCode: 3 })
    expect(plane.messages.at(-1)?.type).toBe('exit')
    expect(plane.health[0]).toMatchObject({ status: 'healthy', lateInputs: 0 })
    expect(plane.violations).toEqual([])
  })

  it('stays interactive, echoes, can be interrupted, and ends at Ctrl-D', async () => {
    const { ended } = await startMock('sleep 1000; said')
    await plane.until(() => plane.text.endsWith('said\r\n'))
    plane.type('\u0003')
    await plane.until(() => plane.text.endsWith('^C\r\nmock> '))
    plane.type('grüße 🙂\r')
    await plane.until(() => plane.text.endsWith('you said: grüße 🙂\r\nmock> '))
    plane.type('flood 100000000\r')
    await plane.until(() => plane.text.includes('0000000100 '))
    plane.type('\u0003')
    // The terminal throws away what it has not delivered yet, its own echo of ^C perhaps too.
    await plane.until(() => plane.text.endsWith('\r\nmock> '))
    plane.post({ type: 'signal', signal: 'SIGINT' })
    await plane.until(() => plane.text.endsWith('mock> \r\nmock> '))
    plane.type('\u0004')
    expect(await ended).toEqual({ code: 0, signal: null })
    expect(plane.exit).toEqual({ action: 'link', type: 'exit', exitCode: 0 })
  })

  it('floods five megabytes through a link that is cut again and again', async () => {
    const { ended } = await startMock('flood 5000000; exit 0', {
      output: (_, count) => (count % 40 === 20 ? 'cutBefore' : count % 40 === 39 ? 'cutAfter' : 'store'),
    })
    expect(await ended).toEqual({ code: 0, signal: null })
    const expected = onTerminal(`mock> flood 5000000; exit 0\n${[...floodText(5_000_000)].join('')}`)
    expect(plane.text === expected).toBe(true)
    expect(plane.closedLinks).toBeGreaterThan(5)
    expect(plane.violations).toEqual([])
  }, 60_000)

  it('gets its input in the gateway’s order and once, though posts come late and doubled', async () => {
    const { ended } = await startMock('')
    await plane.until(() => plane.text.endsWith('mock> '))
    const at = Date.now()
    const keys = [...'hello world', '\r'].map((data, index) => ({
      type: 'input' as const,
      id: `k${index}`,
      at: at + index,
      data,
    }))
    // Posts of the same few milliseconds, in another order and some of them twice.
    for (const key of [...keys].reverse()) plane.post(key)
    for (const key of keys.slice(3, 6)) plane.post(key)
    await plane.until(() => plane.text.endsWith('you said: hello world\r\nmock> '))
    plane.type('\u0004')
    await ended
    expect(plane.text).toBe('mock> hello world\r\nyou said: hello world\r\nmock> ')
  })

  it('is killed by a member, and says so', async () => {
    const { ended } = await startMock('')
    await plane.until(() => plane.text.endsWith('mock> '))
    plane.post({ type: 'signal', signal: 'SIGKILL' })
    expect(await ended).toEqual({ code: 137, signal: null })
    expect(plane.exit).toEqual({ action: 'link', type: 'exit', exitCode: 137, signal: 'SIGKILL' })
  })

  it('takes a large paste without losing any of it', async () => {
    plane = await FakeControlPlane.start()
    const { code } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', 'stty -echo; echo up; head -c 400000 | cksum'),
    })
    await plane.until(() => plane.text.includes('up'))
    const paste = `${'x'.repeat(99)}\r`.repeat(4000)
    for (let at = 0; at < paste.length; at += 20_000) plane.type(paste.slice(at, at + 20_000))
    expect(await code).toBe(0)
    const sum = execFileSync('cksum', { input: paste.replaceAll('\r', '\n'), encoding: 'utf8' }).trim()
    expect(plane.text).toBe(`up\r\n${sum}\r\n`)
  })

  it('hides the ticket and ECS’s addresses from what it runs', async () => {
    plane = await FakeControlPlane.start()
    const { code } = await startAgent(plane.url, { command: command('/usr/bin/env') })
    await code
    expect(plane.text).toContain('TERM=xterm-256color')
    expect(plane.text).not.toMatch(/ticket|COVIBES_LINK|ECS_/i)
  })
})

describe('the end from outside', () => {
  it('SIGTERM: the program is asked, output and exit are told, the code is 143', async () => {
    const { child, ended } = await startMock('sleep 1000')
    await plane.until(() => plane.text.includes('sleep 1000\r\n'))
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 143, signal: null })
    expect(plane.exit).toMatchObject({ exitCode: 143, signal: 'SIGTERM', reason: 'The container was stopped' })
  })

  it('SIGTERM: a program that ends itself keeps its code', async () => {
    plane = await FakeControlPlane.start()
    const { agent, code } = await startAgent(plane.url, {
      command: command(
        '/bin/sh',
        '-c',
        `trap 'echo bye; exit 5' TERM; trap '' HUP; echo up; while :; do sleep 0.05; done`,
      ),
    })
    await plane.until(() => plane.text.includes('up'))
    agent.stop()
    expect(await code).toBe(5)
    expect(plane.text).toContain('bye')
    expect(plane.exit).toMatchObject({ exitCode: 5 })
  })

  it('SIGTERM: a program that does not listen is killed after the grace', async () => {
    plane = await FakeControlPlane.start()
    const { agent, code } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', `trap '' TERM HUP; echo up; while :; do sleep 0.05; done`),
      timings: { stopGraceMs: 200 },
    })
    await plane.until(() => plane.text.includes('up'))
    agent.stop()
    expect(await code).toBe(143)
    expect(plane.exit).toMatchObject({ exitCode: 143, signal: 'SIGTERM' })
  })

  it('SIGTERM: it ends by its deadline even when nobody acknowledges', async () => {
    plane = await FakeControlPlane.start({ output: () => 'lose' })
    const { agent, code } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', 'echo up; read line'),
      timings: { stopDeadlineMs: 800, closeMs: 100 },
    })
    await plane.until(() => plane.messages.some((message) => message.type === 'output'))
    const before = performance.now()
    agent.stop()
    expect(await code).toBe(143)
    expect(performance.now() - before).toBeLessThan(1_500)
  })

  it('dismissed: the program is ended and the code is 77, without an exit message', async () => {
    const { ended, output } = await startMock('')
    await plane.until(() => plane.text.endsWith('mock> '))
    plane.post({ type: 'dismissed', reason: 'The record was deleted' })
    expect(await ended).toEqual({ code: 77, signal: null })
    expect(plane.exit).toBeUndefined()
    expect(output()).toContain('Dismissed: The record was deleted')
  })

  it.each([401, 403])('refused with %i: it ends with 77 and does not try again', async (status) => {
    plane = await FakeControlPlane.start({ refuse: () => status })
    running = await startAgentProcess(plane.url)
    expect(await running.ended).toEqual({ code: 77, signal: null })
    expect(plane.upgrades).toHaveLength(1)
    expect(running.output()).toContain(`refused the container's link (${status})`)
    expect(running.output()).not.toContain('"ticket"')
  })

  it('wrong variables: it ends with 78 and names them', async () => {
    plane = await FakeControlPlane.start()
    running = await startAgentProcess('http://not-a-link', { COVIBES_ENVIRONMENT: 'x' })
    expect(await running.ended).toEqual({ code: 78, signal: null })
    expect(running.output()).toMatch(/COVIBES_ENVIRONMENT.*COVIBES_LINK_URL/)
  })

  it('no model key: it ends with 78 and says so on the terminal too', async () => {
    plane = await FakeControlPlane.start({ welcome: { agent: { program: 'claude', name: 'Ada', task: 'write x' } } })
    const { code } = await startAgent(plane.url)
    expect(await code).toBe(78)
    expect(plane.exit).toMatchObject({ exitCode: 78, reason: 'the team has no model key' })
    expect(plane.text).toContain('the team has no model key')
  })

  it('no workspace: it ends with 69 and says so on the terminal too', async () => {
    plane = await FakeControlPlane.start({ welcome: mock('') })
    const settings = await makeSettings(plane.url)
    await rmdir(settings.workspace)
    const { code } = await startAgent(plane.url, { settings, patienceMs: 20 })
    expect(await code).toBe(69)
    expect(plane.exit).toMatchObject({ exitCode: 69, reason: expect.stringMatching(/workspace was not ready/) })
    expect(plane.text).toMatch(/^Waiting for the team's workspace…\r\n\r\nThe team's workspace was not ready within/)
  })

  it('SIGTERM while it waits for the workspace: it ends at once', async () => {
    plane = await FakeControlPlane.start({ welcome: mock('') })
    const settings = await makeSettings(plane.url)
    await rmdir(settings.workspace)
    const { agent, code } = await startAgent(plane.url, { settings })
    await plane.until(() => plane.text.includes('Waiting'))
    agent.stop()
    expect(await code).toBe(143)
    expect(plane.exit).toMatchObject({ exitCode: 143 })
  })
})
