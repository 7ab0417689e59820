/** How CloudFront finds the behaviour of a request: by its normalized path, while functions and origins get the path as it was sent. */

const UNRESERVED = /^[A-Za-z0-9\-._~]$/

/**
 * The path that patterns are compared with: unreserved characters decoded and dot segments resolved as in RFC 3986, several slashes
 * made one ("Path pattern" in CloudFront's guide). An encoded slash stays one of its segment.
 */
export function normalizedPath(path: string): string {
  const decoded = path.replace(/%([0-9A-Fa-f]{2})/g, (encoded, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16))
    return UNRESERVED.test(character) ? character : encoded.toUpperCase()
  })
  const segments: string[] = []
  const parts = decoded.split('/').slice(1)
  for (const part of parts) {
    if (part === '..') segments.pop()
    else if (part !== '' && part !== '.') segments.push(part)
  }
  const last = parts.at(-1)
  const isDirectory = last === '' || last === '.' || last === '..'
  return `/${segments.join('/')}${isDirectory && segments.length > 0 ? '/' : ''}`
}

/**
 * A path pattern as a predicate on normalized paths: `*` stands for any number of characters, slashes too, `?` for one; everything
 * else, the case of letters too, is taken as it is. The slash at the beginning may be left out.
 */
export function pathMatcher(pattern: string): (normalized: string) => boolean {
  const source = (pattern.startsWith('/') || pattern.startsWith('*') ? pattern : `/${pattern}`)
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  const expression = new RegExp(`^${source}$`, 's')
  return (normalized) => expression.test(normalized)
}
