/** Cutting text by what it takes on the wire. */

const QUOTES = 2
/** Bytes of a text inside a JSON string, without the quotes. Lone surrogates count as the escapes that they become. */
export const encodedLength = (text: string): number => Buffer.byteLength(JSON.stringify(text)) - QUOTES

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff

/** Pieces of at most `maxEncoded` (≥ 12) bytes of JSON each, in order, never cutting a surrogate pair. */
export function splitEncoded(text: string, maxEncoded: number): string[] {
  const pieces: string[] = []
  for (let from = 0; from < text.length; ) {
    const to = furthestEnd(text, from, maxEncoded)
    pieces.push(text.slice(from, to))
    from = to
  }
  return pieces
}

/** The largest end for which `text.slice(from, end)` fits; found by bisection, as encoded length grows with the text. */
function furthestEnd(text: string, from: number, maxEncoded: number): number {
  let fits = from + 1
  let over = Math.min(text.length, from + maxEncoded) + 1
  while (over - fits > 1) {
    const middle = (fits + over) >> 1
    if (encodedLength(text.slice(from, middle)) <= maxEncoded) fits = middle
    else over = middle
  }
  const splitsPair = fits < text.length && isHighSurrogate(text.charCodeAt(fits - 1))
  if (!splitsPair) return fits
  return fits - from > 1 ? fits - 1 : fits + 1
}
