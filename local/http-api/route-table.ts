import type { ApiRoute } from './template-api.ts'

/** The route that a request was given to. */
export interface RouteMatch<R extends ApiRoute = ApiRoute> {
  readonly route: R
  /** Decoded values of the path's variables; empty for none. */
  readonly pathParameters: Readonly<Record<string, string>>
}

interface Pattern<R extends ApiRoute> {
  readonly route: R
  readonly method: string
  readonly segments: readonly Segment[]
  /** Compared from left to right: a literal segment before a variable, that before a greedy one, the method before ANY. */
  readonly rank: string
}

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable' | 'greedy'; readonly name: string }

const DEFAULT_ROUTE = '$default'

/** The routes of an HTTP API, ready for matching. */
export class RouteTable<R extends ApiRoute = ApiRoute> {
  readonly #patterns: readonly Pattern<R>[]
  readonly #default: R | undefined

  constructor(routes: readonly R[]) {
    this.#default = routes.find(({ routeKey }) => routeKey === DEFAULT_ROUTE)
    this.#patterns = routes
      .filter(({ routeKey }) => routeKey !== DEFAULT_ROUTE)
      .map(patternOf)
      .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
  }

  /**
   * The most specific route for a method and a path, which is percent-encoded and without its stage. An exact match comes
   * first, then one with a greedy variable, then `$default`.
   */
  match(method: string, path: string): RouteMatch<R> | undefined {
    const parts = path.split('/').slice(1).map(decode)
    for (const { route, method: routeMethod, segments } of this.#patterns) {
      if (routeMethod !== 'ANY' && routeMethod !== method) continue
      const pathParameters = matchSegments(segments, parts)
      if (pathParameters) return { route, pathParameters }
    }
    return this.#default && { route: this.#default, pathParameters: {} }
  }
}

function patternOf<R extends ApiRoute>(route: R): Pattern<R> {
  const [method = '', path = ''] = route.routeKey.split(' ')
  const segments = path.split('/').slice(1).map(segmentOf)
  const greedy = segments.some(({ kind }) => kind === 'greedy')
  const ranks = segments.map(({ kind }) => (kind === 'literal' ? 'a' : kind === 'variable' ? 'b' : 'c'))
  return { route, method, segments, rank: `${greedy ? 1 : 0}${ranks.join('')}~${method === 'ANY' ? 1 : 0}` }
}

function segmentOf(text: string): Segment {
  const [, name, plus] = /^\{([^}+]+)(\+)?\}$/.exec(text) ?? []
  if (name === undefined) return { kind: 'literal', text }
  return { kind: plus ? 'greedy' : 'variable', name }
}

function matchSegments(segments: readonly Segment[], parts: readonly string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const part = parts[index]
    if (part === undefined) return undefined
    if (segment.kind === 'greedy') {
      parameters[segment.name] = parts.slice(index).join('/')
      return parameters
    }
    if (segment.kind === 'literal' ? segment.text !== part : part === '') return undefined
    if (segment.kind === 'variable') parameters[segment.name] = part
  }
  return parts.length === segments.length ? parameters : undefined
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part // a stray percent sign stands for itself
  }
}
