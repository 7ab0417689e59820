import fc from 'fast-check'
import { expect, it } from 'vitest'
import { encodedLength, splitEncoded } from '../../../shared/domain/terminal/split.ts'

it('cuts any text into pieces that fit when encoded, and loses nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 12, max: 60 }), (text, max) => {
      const pieces = splitEncoded(text, max)
      expect(pieces.join('')).toBe(text)
      for (const piece of pieces) expect(encodedLength(piece)).toBeLessThanOrEqual(max)
    }),
  )
})

it('never cuts a surrogate pair', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('😀', 'a', 'é', '\u0007')), fc.integer({ min: 12, max: 40 }), (parts, max) => {
      for (const piece of splitEncoded(parts.join(''), max)) expect(piece.isWellFormed()).toBe(true)
    }),
  )
})

it('makes as few pieces as it can of plain text', () => {
  expect(splitEncoded('x'.repeat(100), 30).map(({ length }) => length)).toEqual([30, 30, 30, 10])
  expect(splitEncoded('', 30)).toEqual([])
})
