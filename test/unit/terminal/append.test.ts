import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LINK_CHUNK_MAX_ENCODED_BYTES, TERMINAL_LOG_MAX_BYTES } from '../../../shared/contracts/limits.ts'
import { appendOutput, placeOf } from '../../../shared/domain/terminal/append.ts'
import { readOutputLines } from '../../../shared/domain/terminal/lines.ts'
import { encodedLength } from '../../../shared/domain/terminal/split.ts'
import { fixedClock } from '../../support/environments.ts'
import { memoryTerminalLog } from '../realtime/support/memory.ts'

const DAY_MS = 86_400_000
const terminal = { teamId: 'team-1', id: 'agent-1' }

function newLog() {
  const log = memoryTerminalLog()
  const deps = { terminalLog: log.store, clock: fixedClock }
  const append = (offset: number, data: string, generation = 1, base?: number) =>
    appendOutput(terminal, { generation, offset, data, base }, deps)
  return { log, deps, append, text: () => log.text(terminal) }
}

describe('the terminal log', () => {
  it('stores output once and answers repeats and overlaps with its true end', async () => {
    const { append, text } = newLog()
    expect(await append(0, 'hello ')).toMatchObject({ outcome: 'appended', base: 0, end: 6 })
    expect(await append(0, 'hello ')).toEqual({ outcome: 'repeated', base: 0, end: 6 })
    expect(await append(0, 'hello wörld')).toMatchObject({
      outcome: 'appended',
      base: 0,
      end: 12,
      chunks: [{ position: 6, offset: 6, data: 'wörld' }],
    })
    expect(await append(2, 'llo')).toEqual({ outcome: 'repeated', base: 0, end: 12 })
    expect(text()).toBe('hello wörld')
  })

  it('stores nothing that would leave a gap or cut a character, when it has to look', async () => {
    const { append, text } = newLog()
    await append(0, 'aü')
    expect(await append(5, 'x')).toEqual({ outcome: 'gap', base: 0, end: 3 })
    expect(await append(1, '\u20ac')).toEqual({ outcome: 'gap', base: 0, end: 3 })
    expect(text()).toBe('aü')
  })

  it('goes on behind an earlier generation, whatever base the link believed in, and shuts the earlier one out', async () => {
    const { append, deps, text } = newLog()
    await append(0, 'first ')
    expect(await placeOf(terminal, 2, deps)).toEqual({ base: 6, end: 0 })
    expect(await append(0, 'second', 2, 0)).toMatchObject({ outcome: 'appended', base: 6, end: 6 })
    expect(await append(6, 'late', 1, 0)).toEqual({ outcome: 'superseded' })
    expect(await placeOf(terminal, 1, deps)).toBe('superseded')
    expect(text()).toBe('first second')
  })

  it('goes on where its container is when it has expired under it, and says that something is missing', async () => {
    const { log, append } = newLog()
    await append(0, 'a week ago\n')
    log.expire(terminal, fixedClock.now().getTime() + 8 * DAY_MS)
    expect(log.logOf(terminal)).toEqual([])
    for (const base of [0, undefined]) {
      expect(await append(11, 'today\n', 1, base)).toMatchObject({ base: 0, end: 17 })
      expect(await readOutputLines(log.store, terminal, { limit: 10 })).toMatchObject({
        output: [{ line: 'today' }],
        truncated: true,
      })
      log.expire(terminal, fixedClock.now().getTime() + 8 * DAY_MS)
    }
  })

  it('keeps its newest chunk for as long as a silent container says hello, so that positions never go back', async () => {
    const { log, deps, append } = newLog()
    await append(0, 'first ')
    await append(0, 'second ', 2)
    await append(7, 'third', 2)
    const start = fixedClock.now().getTime()
    for (let hours = 2; hours <= 10 * 24; hours += 2) {
      const now = new Date(start + hours * 3_600_000)
      log.expire(terminal, now.getTime())
      expect(await placeOf(terminal, 2, { ...deps, clock: { now: () => now } })).toEqual({ base: 6, end: 12 })
    }
    expect(log.text(terminal)).toBe('third')
    const { truncated } = await readOutputLines(log.store, terminal, { limit: 10 })
    expect(truncated).toBe(true)
    log.expire(terminal, start + 18 * DAY_MS)
    expect(log.text(terminal)).toBe('')
  })

  it('lets one of two writers at the same end win, and loses and doubles nothing', async () => {
    const { append, text } = newLog()
    await append(0, 'start ')
    const outcomes = await Promise.all([append(6, 'one two', 1, 0), append(6, 'one two three', 1, 0)])
    expect(text()).toBe('start one two three')
    expect(outcomes).toContainEqual(expect.objectContaining({ outcome: 'appended', base: 0, end: 19 }))
  })

  it('cuts output that is larger when encoded, never inside a character', async () => {
    const { append, log, text } = newLog()
    const data = '\u0001😀'.repeat(20_000)
    expect(await append(0, data)).toMatchObject({ outcome: 'appended', chunks: log.logOf(terminal) })
    expect(text()).toBe(data)
    for (const chunk of log.logOf(terminal)) {
      expect(encodedLength(chunk.data)).toBeLessThanOrEqual(LINK_CHUNK_MAX_ENCODED_BYTES)
      expect(chunk.data.isWellFormed()).toBe(true)
    }
  })

  it('keeps the newest 4 MiB, give or take one trim', async () => {
    const { append, log } = newLog()
    const data = 'x'.repeat(25_000)
    let end = 0
    while (end < TERMINAL_LOG_MAX_BYTES + 1_000_000) {
      await append(end, data, 1, 0)
      end += data.length
    }
    const kept = log.logOf(terminal).length * data.length
    expect(kept).toBeGreaterThan(TERMINAL_LOG_MAX_BYTES - data.length)
    expect(kept).toBeLessThan(TERMINAL_LOG_MAX_BYTES + 300_000)
  })

  it('holds exactly what was written, however its messages are cut, repeated and interleaved', async () => {
    const message = fc.record({ back: fc.nat(30), length: fc.integer({ min: 1, max: 40 }), twice: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', minLength: 50, maxLength: 200 }),
        fc.array(message),
        async (text, messages) => {
          const { append, log } = newLog()
          const bytes = Buffer.from(text)
          const boundary = (at: number): number => {
            let to = Math.max(0, Math.min(at, bytes.length))
            while (to < bytes.length && ((bytes[to] ?? 0) & 0xc0) === 0x80) to++
            return to
          }
          let acknowledged = 0
          // A sender begins at an offset that it was given: an acknowledgement of any age.
          const given = [0]
          for (const { back, length, twice } of [...messages, { back: 0, length: 10_000, twice: true }]) {
            const from = given[Math.max(0, given.length - 1 - (back % 4))] ?? 0
            const data = bytes.subarray(from, boundary(from + length)).toString()
            if (data === '') continue
            const writers = [append(from, data, 1, 0), ...(twice ? [append(from, data, 1, 0)] : [])]
            for (const stored of await Promise.all(writers)) {
              if (stored.outcome === 'superseded') throw new Error('superseded')
              if (stored.end > acknowledged) given.push(stored.end)
              acknowledged = Math.max(acknowledged, stored.end)
            }
            // What is acknowledged is what is stored, at any time.
            expect(log.text(terminal)).toBe(bytes.subarray(0, acknowledged).toString())
          }
          expect(log.text(terminal)).toBe(text)
        },
      ),
    )
  })
})
