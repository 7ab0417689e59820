import { describe, expect, it } from 'vitest'
import { BadRequest } from '../../../shared/domain/errors.ts'
import { readNewestLines, readOutputLines } from '../../../shared/domain/terminal/lines.ts'
import { byteLength } from '../../../shared/domain/terminal/schema.ts'
import { memoryTerminalLog } from '../realtime/support/memory.ts'

const agent = { teamId: 'team-1', id: 'agent-1' }
const at = (second: number) => new Date(second * 1000).toISOString()

async function logOf(...chunks: string[]) {
  const { store } = memoryTerminalLog()
  let position = 0
  for (const [i, data] of chunks.entries()) {
    await store.putIfAbsent(agent, { position, generation: 1, offset: position, data, at: i * 1000 })
    position += byteLength(data)
  }
  return store
}
const textOf = ({ output }: { output: { line: string }[] }) => output.map(({ line }) => line)

describe('output as lines', () => {
  it('joins lines over chunks and dates them by their first byte', async () => {
    const log = await logOf('one\r\ntw', 'o\nthr', 'ee')
    const page = await readOutputLines(log, agent, { limit: 10 })
    expect(page.output).toEqual([
      { timestamp: at(0), line: 'one' },
      { timestamp: at(0), line: 'two' },
      { timestamp: at(1), line: 'three' },
    ])
    expect(page.truncated).toBe(false)
  })

  it('pages without losing or repeating a finished line, and gives an unfinished one again when it has grown', async () => {
    const log = await logOf('a\nbü\n', 'c\nd', 'd\n', '\ne')
    const seen: string[] = []
    let cursor: string | undefined
    for (let pages = 0; pages < 4; pages++) {
      const page = await readOutputLines(log, agent, { cursor, limit: 2 })
      seen.push(...textOf(page))
      cursor = page.nextCursor
    }
    expect(seen).toEqual(['a', 'bü', 'c', 'dd', '', 'e', 'e'])
    await log.putIfAbsent(agent, { position: 14, generation: 1, offset: 14, data: 'nd\nf', at: 9_000 })
    expect(textOf(await readOutputLines(log, agent, { cursor, limit: 5 }))).toEqual(['end', 'f'])
  })

  it('takes out colours, titles and what a carriage return has overwritten', async () => {
    const log = await logOf(
      '\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b(Bx\n10%\r50%\r100%\r\n\x1bP1$r0m\x1b\\tab\there\x07\n',
    )
    expect(textOf(await readOutputLines(log, agent, { limit: 10 }))).toEqual(['red x', '100%', 'tab\there'])
  })

  it('cuts a line that never ends', async () => {
    const log = await logOf('x'.repeat(20_000), 'y'.repeat(20_000))
    const page = await readOutputLines(log, agent, { limit: 10 })
    expect(page.output.map(({ line }) => line.length)).toEqual([16_384, 16_384, 7_232])
    const first = await readOutputLines(log, agent, { limit: 1 })
    expect(textOf(await readOutputLines(log, agent, { cursor: first.nextCursor, limit: 1 }))[0]).toBe(
      `${'x'.repeat(3_616)}${'y'.repeat(12_768)}`,
    )
  })

  it('says so when what the cursor or the beginning meant has been dropped', async () => {
    const log = await logOf('a\nb\n', 'c\n')
    const { nextCursor } = await readOutputLines(log, agent, { limit: 1 })
    await log.removeBelow(agent, 4)
    expect(await readOutputLines(log, agent, { cursor: nextCursor, limit: 9 })).toMatchObject({
      output: [{ line: 'c' }],
      truncated: true,
    })
    expect(await readOutputLines(log, agent, { limit: 9 })).toMatchObject({ truncated: true })
  })

  it('refuses a cursor that it has not given, and answers nothing for nothing', async () => {
    const log = await logOf()
    await expect(readOutputLines(log, agent, { cursor: 'x', limit: 1 })).rejects.toThrow(BadRequest)
    const { output, nextCursor } = await readOutputLines(log, agent, { limit: 5 })
    expect(output).toEqual([])
    await log.putIfAbsent(agent, { position: 0, generation: 1, offset: 0, data: 'now\n', at: 0 })
    expect(textOf(await readOutputLines(log, agent, { cursor: nextCursor, limit: 5 }))).toEqual(['now'])
  })

  it('gives the newest lines', async () => {
    const log = await logOf(...Array.from({ length: 60 }, (_, i) => `line ${i}\n`), '$ ')
    const lines = await readNewestLines(log, agent, 3)
    expect(lines.map(({ line }) => line)).toEqual(['line 58', 'line 59', '$ '])
  })
})
