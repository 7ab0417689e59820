import { expect, test } from 'vitest'
import { MAX_LINE_LENGTH, splitLines } from '../../../../local/ecs/lines.ts'

/** The lines of these chunks. */
function linesOf(...chunks: (string | Buffer)[]): string[] {
  const lines: string[] = []
  const splitter = splitLines((line) => lines.push(line))
  for (const chunk of chunks) splitter.push(Buffer.from(chunk))
  splitter.end()
  return lines
}

test('lines go over chunks, and characters too', () => {
  const euro = Buffer.from('€')
  expect(linesOf('one\ntw', 'o\r\n\nlast')).toEqual(['one', 'two', '', 'last'])
  expect(linesOf(euro.subarray(0, 1), euro.subarray(1), '\n')).toEqual(['€'])
  expect(linesOf('')).toEqual([])
})

test('a longer line comes in pieces, whether it has an end or not, in one chunk or many', () => {
  const long = 'x'.repeat(MAX_LINE_LENGTH + 1)
  for (const chunks of [[`${long}\n`], [long], [long.slice(0, 10), long.slice(10), '\n'], [long, '\nnext']]) {
    const lines = linesOf(...chunks).filter((line) => line !== 'next')
    expect(lines.join('')).toBe(long)
    expect(Math.max(...lines.map(({ length }) => length))).toBe(MAX_LINE_LENGTH)
  }
})
