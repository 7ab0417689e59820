import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ForeignClaudeHome, prepareClaudeHome } from '../../../container-images/agent/src/claude-cli.ts'
import { createScriptedModel, type ScriptedModel } from '../../../local/scripted-model/server.ts'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
import { makeDirectory, makeSettings, removeDirectories, startAgent } from './agent-fixture.ts'

const KEY = 'sk-team-0123456789abcdefghij'
let model: ScriptedModel
let plane: FakeControlPlane | undefined
beforeEach(async () => {
  model = await createScriptedModel({ apiKeys: [KEY] })
})
afterEach(async () => {
  await plane?.close()
  plane = undefined
  await model.close()
  await removeDirectories()
})

const claude = (task: string, apiKey = KEY) =>
  FakeControlPlane.start({
    welcome: {
      agent: { program: 'claude', name: 'Ada Lovelace', task },
      model: { apiKey, baseUrl: model.url },
      terminal: { cols: 100, rows: 30 },
    },
  })

const ESC = String.fromCharCode(27)
/** What is on the terminal without colours and cursor movements. */
const plain = (text: string) =>
  text.replace(new RegExp(`${ESC}(\\[[0-9;?<>=]*[A-Za-z]|\\][^\\u0007]*\\u0007)`, 'g'), '')
/** The same without blanks, in whose place the CLI often moves the cursor. */
const words = (text: string) => plain(text).replace(/\s/g, '')

describe('the real claude CLI in the agent', () => {
  it('carries out a task, shows its progress and ends with 0', async () => {
    plane = await claude('write notes/a.txt containing hello world then run cat notes/a.txt && pwd')
    const { code, settings } = await startAgent(plane.url)
    expect(await code).toBe(0)
    expect(await readFile(path.join(settings.workspace, 'notes/a.txt'), 'utf8')).toBe('hello world\n')
    const shown = plain(plane.text)
    expect(shown).toContain('● Write notes/a.txt\r\n')
    expect(shown).toContain('● Bash cat notes/a.txt && pwd\r\n')
    expect(shown).toContain(`Ran cat notes/a.txt && pwd:\r\nhello world\r\n${settings.workspace}\r\n`)
    expect(shown).toMatch(/✓ done in [\d.]+ s, 3 turns\r\n$/)
    // The key is the team's secret: neither on the terminal nor in a message.
    expect(JSON.stringify(plane.messages)).not.toContain(KEY)
  }, 60_000)

  it('commits under the agent’s name', async () => {
    plane = await claude('write a.txt then run git add . && git commit -qm first && git log --format=%an')
    const settings = await makeSettings(plane.url)
    execFileSync('git', ['init', '--quiet', settings.workspace])
    const { code } = await startAgent(plane.url, { settings })
    expect(await code).toBe(0)
    expect(plane.text).toContain('Ada Lovelace')
  }, 60_000)

  it('shows a tool’s failure, and ends with the CLI’s own code when the model refuses the key', async () => {
    plane = await claude('read nothing.txt')
    const first = await startAgent(plane.url)
    expect(await first.code).toBe(0)
    expect(plain(plane.text)).toMatch(/● Read nothing\.txt\r\n {2}✗ File does not exist/)
    await plane.close()
    plane = await claude('write a.txt', 'sk-wrong-key-000000000000000')
    const second = await startAgent(plane.url)
    expect(await second.code).toBe(1)
    expect(plain(plane.text)).toMatch(/✗ .*API key/i)
    expect(plane.exit).toMatchObject({ exitCode: 1 })
  }, 60_000)

  it('takes instructions in the terminal when it has no task, asking nothing first', async () => {
    const fake = await claude('')
    plane = fake
    const { agent, code, settings } = await startAgent(fake.url)
    await fake.until(() => words(fake.text).includes('bypasspermissionson'), 'the prompt')
    fake.type('write typed.txt containing by hand')
    await fake.until(() => words(fake.text).includes('byhand'), 'the echo')
    fake.type('\r')
    await fake.until(() => words(fake.text).includes('Wrotetyped.txt.'), 'the answer')
    expect(await readFile(path.join(settings.workspace, 'typed.txt'), 'utf8')).toBe('by hand\n')
    agent.stop()
    expect([0, 129, 143]).toContain(await code)
  }, 60_000)
})

describe('the home of the CLI', () => {
  it('asks nothing at the start, for this workspace and this key', async () => {
    const home = path.join(await makeDirectory(), 'home')
    await prepareClaudeHome(home, '/workspace', { apiKey: KEY })
    expect(JSON.parse(await readFile(path.join(home, '.claude.json'), 'utf8'))).toMatchObject({
      hasCompletedOnboarding: true,
      customApiKeyResponses: { approved: [KEY.slice(-20)] },
      bypassPermissionsModeAccepted: true,
      projects: { '/workspace': { hasTrustDialogAccepted: true } },
    })
    // Its own from an earlier run is written anew.
    await prepareClaudeHome(home, '/workspace', { apiKey: 'other' })
    expect(await readFile(path.join(home, '.claude.json'), 'utf8')).not.toContain(KEY.slice(-20))
  })

  it('never changes the configuration of a person', async () => {
    const settings = await makeSettings('ws://127.0.0.1:1')
    await mkdir(settings.home)
    await writeFile(path.join(settings.home, '.claude.json'), '{"mine":true}')
    await expect(prepareClaudeHome(settings.home, '/w', { apiKey: KEY })).rejects.toThrow(ForeignClaudeHome)
    plane = await claude('')
    const { code } = await startAgent(plane.url, { settings: { ...settings, linkUrl: plane.url } })
    expect(await code).toBe(78)
    expect(await readFile(path.join(settings.home, '.claude.json'), 'utf8')).toBe('{"mine":true}')
  })
})
