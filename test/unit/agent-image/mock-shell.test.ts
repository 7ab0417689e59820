import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { floodText, MockShell } from '../../../container-images/agent/src/mock-shell.ts'
import { makeDirectory, removeDirectories } from './agent-fixture.ts'

let workspace: string
let printed: string
let shell: MockShell
beforeEach(async () => {
  workspace = await makeDirectory()
  printed = ''
  shell = new MockShell({
    workspace,
    print: async (text) => {
      printed += text
    },
  })
})
afterEach(removeDirectories)
const run = (line: string, abort = new AbortController().signal) => shell.run(line, abort)

describe('the mock agent’s commands', () => {
  it('clock tells the time as often as asked', async () => {
    const before = Date.now()
    await run('clock 3 1')
    const times = [...printed.matchAll(/^clock (\d+)$/gm)].map(([, time]) => Number(time))
    expect(times).toHaveLength(3)
    for (const time of times) expect(time).toBeGreaterThanOrEqual(before)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
  })

  it.each([
    ['exit', 0],
    ['exit 3', 3],
    ['hello; exit 255; never', 255],
  ])('%s ends with %i', async (line, code) => {
    expect(await run(line)).toBe(code)
    expect(printed).not.toContain('never')
  })

  it.each([
    'exit 256',
    'exit x',
    'sleep',
    'sleep -1',
    'flood',
    'flood 1e99',
    'write',
    'write ../x y',
    'write . y',
    'memory',
    'memory -1',
    'memory 1e9',
  ])('%s is refused with words, and the shell goes on', async (line) => {
    expect(await run(`${line}; after`)).toBeUndefined()
    expect(printed).toMatch(/^(exit|sleep|flood|write|memory): [\s\S]*you said: after\n$/)
  })

  it('says back what it does not know, and lists what it knows', async () => {
    await run('what now; help')
    expect(printed).toMatch(/^you said: what now\n[\s\S]*flood BYTES/)
  })

  it('writes files in the workspace, with their directories', async () => {
    await run('write a/b.txt two  words')
    expect(await readFile(path.join(workspace, 'a/b.txt'), 'utf8')).toBe('two  words\n')
    expect(printed).toBe('wrote a/b.txt\n')
    await run('write a/b.txt/c x')
    expect(printed).toContain('write: ')
  })

  it('holds memory', async () => {
    const before = process.memoryUsage().external
    await run('memory 8; memory 8')
    expect(printed).toBe('holding 8 MiB\nholding 16 MiB\n')
    expect(process.memoryUsage().external - before).toBeGreaterThan(15 * 1024 * 1024)
  })

  it.each([0, 1, 5, 63, 64, 65, 100, 64 * 256, 64 * 256 + 1, 100_003])('floods exactly %i bytes', async (bytes) => {
    await run(`flood ${bytes}`)
    expect(Buffer.byteLength(printed)).toBe(bytes)
    expect(printed).toBe([...floodText(bytes)].join(''))
    const lines = printed.split('\n').filter((line) => line.includes(' '))
    expect(lines.every((line, index) => Number(line.slice(0, 10)) === index)).toBe(true)
  })

  it('stops what it does when interrupted, the rest of the line too', async () => {
    const abort = new AbortController()
    const sleeping = run('sleep 1000; said', abort.signal)
    abort.abort()
    expect(await sleeping).toBeUndefined()
    expect(printed).toBe('')
  })
})
