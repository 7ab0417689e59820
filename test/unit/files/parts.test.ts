import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LAMBDA_MAX_RESPONSE_BYTES, MAX_FILE_BYTES, MAX_MESSAGE_PARTS } from '../../../shared/contracts/limits.ts'
import { MessagePartSchema } from '../../../shared/contracts/link.ts'
import { answerText, joined, partsOf } from '../../../shared/domain/files/parts.ts'

describe('an answer', () => {
  const packed = (text: string) =>
    (partsOf('id', gzipSync(text).toString('base64'), 60) ?? []).map((part) => ({ ...part, encoding: 'gzip' as const }))

  it('is its text, packed or not, once all parts are there', () => {
    const text = JSON.stringify({ ok: true, result: { content: 'ünd 😀\n'.repeat(100) } })
    expect(answerText(partsOf('id', text, 60) ?? [])).toBe(text)
    const parts = packed(text)
    expect(parts.length).toBeGreaterThan(1)
    expect(answerText(parts.toReversed())).toBe(text)
    expect(answerText(parts.slice(1))).toBeUndefined()
    expect(
      answerText(parts.map(({ encoding, ...part }, n) => (n === 0 ? part : { ...part, encoding }))),
    ).toBeUndefined()
  })

  it('is not unpacked beyond what can be passed on, nor when it is no packed text', () => {
    expect(() => answerText(packed('x'.repeat(LAMBDA_MAX_RESPONSE_BYTES + 1)))).toThrow(RangeError)
    expect(() => answerText([{ id: 'id', part: 0, parts: 1, data: 'no gzip', encoding: 'gzip' }])).toThrow()
  })
})

describe('a message in parts', () => {
  it('is the same again, in whatever order its parts come and however often', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }),
        fc.integer({ min: 12, max: 60 }),
        (text, max) => {
          const parts = partsOf('id', text, max) ?? []
          for (const part of parts) MessagePartSchema.parse(part)
          const shuffled = [...parts, ...parts].sort((a, b) => (a.data < b.data ? -1 : 1))
          expect(joined(shuffled)).toBe(text)
          expect(joined(parts.slice(1))).toBeUndefined()
        },
      ),
    )
  })

  it('is not made of parts of two messages', () => {
    const one = { id: 'a', part: 0, parts: 2, data: 'x' }
    expect(joined([one, { id: 'a', part: 1, parts: 3, data: 'y' }])).toBeUndefined()
    expect(joined([one, { id: 'a', part: 2, parts: 2, data: 'y' }])).toBeUndefined()
    expect(joined([])).toBeUndefined()
  })

  it('has a bound that the largest file stays below', () => {
    const worst = JSON.stringify({ ok: true, result: { content: '\u0001'.repeat(MAX_FILE_BYTES) } })
    const parts = partsOf('id', worst, 28 * 1024)
    expect(parts?.length).toBeLessThanOrEqual(MAX_MESSAGE_PARTS)
    expect(partsOf('id', 'x'.repeat(300), 1)).toBeUndefined()
  })
})
