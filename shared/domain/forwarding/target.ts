/** RFC 3986's pchar and the slash; `%` is not among them, because the path is decoded already. */
const LITERAL = /[A-Za-z0-9\-._~!$&'()*+,;=:@/]/
/** What may stand in a request line behind the question mark; the rest is encoded, percent signs stay as they are. */
const NOT_IN_QUERY = /[^\x21\x24-\x3b\x3d\x3f-\x5f\x61-\x7e\x25]/gu

const encode = (character: string): string =>
  [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')

/**
 * The request target for a decoded path and a raw query: always a path (a path that is a URL stays a path, so it cannot
 * choose the server), with dots left alone. Not told apart any more: `%2F` and `/`.
 */
export function requestTarget(basePath: string, path: string, rawQuery: string): string {
  const rooted = path.startsWith('/') ? path : `/${path}`
  const encoded = [...rooted].map((character) => (LITERAL.test(character) ? character : encode(character))).join('')
  const query = rawQuery.replace(NOT_IN_QUERY, encode)
  return `${basePath}${encoded}${query === '' ? '' : `?${query}`}`
}
