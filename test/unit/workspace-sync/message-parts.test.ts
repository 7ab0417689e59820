import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type MessagePart,
  Reassembly,
  splitMessage,
} from '../../../container-images/workspace-sync/src/files/message-parts.ts'
import { LINK_CHUNK_MAX_ENCODED_BYTES, MAX_MESSAGE_PARTS } from '../../../shared/contracts/limits.ts'
import { MessagePartSchema } from '../../../shared/contracts/link.ts'

const LIMITS = { open: 3, length: 100, totalLength: 150, patienceMs: 1000 }
const part = (id: string, index: number, parts: number, data = 'x'): MessagePart => ({ id, part: index, parts, data })

describe('a message in parts', () => {
  it('comes out as it went in, whatever its letters, in parts that fit a frame', () => {
    const letters = fc.constantFrom('a', '"', '\\', '\n', '\u0001', 'ü', '€', '🙂', '\ud800')
    fc.assert(
      fc.property(fc.array(fc.tuple(letters, fc.integer({ min: 1, max: 20_000 })), { maxLength: 8 }), (runs) => {
        const text = runs.map(([letter, times]) => letter.repeat(times)).join('')
        const parts = splitMessage('id', text) ?? []
        for (const each of parts) {
          expect(MessagePartSchema.safeParse(each).success).toBe(true)
          expect(Buffer.byteLength(JSON.stringify(each.data)) - 2).toBeLessThanOrEqual(LINK_CHUNK_MAX_ENCODED_BYTES)
          // No character is split: half of one would not survive UTF-8.
          if (text.isWellFormed()) expect(each.data.isWellFormed()).toBe(true)
        }
        const reassembly = new Reassembly()
        const found = parts.toReversed().map((each) => reassembly.accept(each))
        expect(found.at(-1)).toEqual({ text })
        expect(found.slice(0, -1).every((each) => each === undefined)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  it('is filled up to the frame, and one part even when empty', () => {
    expect(splitMessage('id', '')).toEqual([{ id: 'id', part: 0, parts: 1, data: '' }])
    expect(splitMessage('id', 'x'.repeat(LINK_CHUNK_MAX_ENCODED_BYTES))).toHaveLength(1)
    expect(splitMessage('id', 'x'.repeat(LINK_CHUNK_MAX_ENCODED_BYTES + 1))).toHaveLength(2)
  })

  it('has no more parts than a message may have', () => {
    const most = LINK_CHUNK_MAX_ENCODED_BYTES * MAX_MESSAGE_PARTS
    expect(splitMessage('id', 'x'.repeat(most))).toHaveLength(MAX_MESSAGE_PARTS)
    expect(splitMessage('id', 'x'.repeat(most + 1))).toBeUndefined()
  })
})

describe('putting parts together', () => {
  it('ignores what comes twice, also after the end, until there is a new link', () => {
    const reassembly = new Reassembly(LIMITS)
    expect(reassembly.accept(part('a', 0, 2, 'x'))).toBeUndefined()
    expect(reassembly.accept(part('a', 0, 2, 'other'))).toBeUndefined()
    expect(reassembly.accept(part('a', 1, 2, 'y'))).toEqual({ text: 'xy' })
    expect(reassembly.accept(part('a', 1, 2, 'y'))).toBeUndefined()
    expect(reassembly.open).toBe(0)
    reassembly.reset()
    expect(reassembly.accept(part('a', 0, 1, 'z'))).toEqual({ text: 'z' })
  })

  it('drops messages that contradict themselves or go beyond a bound, and says so once', () => {
    const reassembly = new Reassembly(LIMITS)
    reassembly.accept(part('a', 0, 2))
    expect(reassembly.accept(part('a', 1, 3))).toBe('dropped')
    expect(reassembly.accept(part('a', 1, 2))).toBeUndefined()
    expect(reassembly.accept(part('b', 2, 2))).toBe('dropped')
    expect(reassembly.accept(part('c', 0, 1, 'x'.repeat(101)))).toBe('dropped')
    reassembly.accept(part('d', 0, 2, 'x'.repeat(100)))
    expect(reassembly.accept(part('e', 0, 2, 'x'.repeat(51)))).toBe('dropped')
    for (const id of ['f', 'g']) reassembly.accept(part(id, 0, 2))
    expect(reassembly.accept(part('h', 0, 2))).toBe('dropped')
    expect(reassembly.accept(part('i', 0, MAX_MESSAGE_PARTS + 1))).toBe('dropped')
    expect(reassembly.open).toBe(3)
  })

  it('forgets messages whose parts do not come in time', () => {
    let now = 0
    const reassembly = new Reassembly(LIMITS, () => now)
    for (const id of ['a', 'b', 'c']) reassembly.accept(part(id, 0, 2, 'x'.repeat(50)))
    now = 1000
    expect(reassembly.accept(part('d', 0, 2, 'x'.repeat(100)))).toBeUndefined()
    expect(reassembly.open).toBe(1)
    expect(reassembly.accept(part('a', 1, 2))).toBeUndefined()
  })
})
