/**
 * Requests for routes of ours in disguise. The gateway matches a path to the letter; the existing server does not mind a slash at
 * the end or capitals, and a proxy before it resolves dots. So `POST /api/agents/spawn/` would start an agent there past the
 * flags, the slots and the records here, and must not be forwarded.
 */
import type { Route } from '../../contracts/routes.ts'
import { ForwardingFailed } from './errors.ts'
import type { Forward } from './ports.ts'

/** Refuses what is a route of `routes` written in another way, by the same method. @throws ForwardingFailed */
export function onlyForeign(routes: readonly Pick<Route, 'method' | 'path'>[], forward: Forward): Forward {
  const own = routes.map(({ method, path }) => ({ method, segments: segmentsOf(path) }))
  return async (request, options) => {
    // Express answers HEAD with the handler of GET.
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const segments = segmentsOf(request.path)
    const isOwn = own.some((route) => route.method === method && fits(route.segments, segments))
    if (isOwn) throw new ForwardingFailed('not-foreign')
    return forward(request, options)
  }
}

/** As the most lenient reader would see them: no empty segments, no dots, no capitals, nothing encoded. */
function segmentsOf(path: string): readonly string[] {
  const segments: string[] = []
  for (const segment of decoded(path).replaceAll('\\', '/').toLowerCase().split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return segments
}

/** The gateway has decoded the path once; what is still encoded was encoded twice. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path // a stray percent sign stands for itself
  }
}

const fits = (pattern: readonly string[], segments: readonly string[]): boolean =>
  pattern.length === segments.length && pattern.every((part, n) => part.startsWith('{') || part === segments[n])
