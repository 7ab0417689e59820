import * as z from 'zod'
import type { Lambda } from '../lambda/lambda.ts'
import { authorizerEvent, type RequestHead, type Routed } from './request-event.ts'
import type { LambdaAuthorizer } from './template-api.ts'

/** What came of a request's authorization. */
export type Authorization =
  | { readonly outcome: 'allowed'; readonly context: Readonly<Record<string, unknown>> }
  /** The request lacks an identity source: 401, without asking the function. */
  | { readonly outcome: 'unauthenticated' }
  /** The function refused: 403. */
  | { readonly outcome: 'denied' }
  /** The function failed or answered something else: 500. */
  | { readonly outcome: 'failed'; readonly reason: string }

/** Cached results over all authorizers; the oldest go first. */
const MAX_CACHED = 10_000
const Context = z.record(z.string(), z.unknown()).default({})
const SimpleResponse = z.object({ isAuthorized: z.boolean(), context: Context })
const PolicyResponse = z.object({
  policyDocument: z.object({ Statement: z.array(z.object({ Effect: z.enum(['Allow', 'Deny']) })) }),
  context: Context,
})

/** Asks Lambda authorizers and caches what they say, by the values of their identity sources. */
export class Authorizers {
  readonly #invoke: Lambda['invoke']
  readonly #cache = new Map<string, { readonly authorization: Authorization; readonly expiresAt: number }>()

  constructor(invoke: Lambda['invoke']) {
    this.#invoke = invoke
  }

  async authorize(authorizer: LambdaAuthorizer, head: RequestHead, routed: Routed): Promise<Authorization> {
    const identity = authorizer.identitySource.map((source) => identityValue(source, head, routed))
    if (identity.some((value) => value === undefined || value === '')) return { outcome: 'unauthenticated' }
    const cacheable = authorizer.resultTtlSeconds > 0 && identity.length > 0
    const key = JSON.stringify([authorizer.id, routed.stage.name, identity])
    const cached = cacheable ? this.#cache.get(key) : undefined
    if (cached && cached.expiresAt > Date.now()) return cached.authorization
    const authorization = await this.#ask(authorizer, head, routed, identity as string[])
    if (cacheable && authorization.outcome !== 'failed')
      this.#remember(key, authorization, Date.now() + authorizer.resultTtlSeconds * 1000)
    return authorization
  }

  async #ask(
    authorizer: LambdaAuthorizer,
    head: RequestHead,
    routed: Routed,
    identity: readonly string[],
  ): Promise<Authorization> {
    try {
      const { functionError, payload } = await this.#invoke(
        authorizer.functionArn,
        authorizerEvent(head, routed, identity),
      )
      if (functionError) return { outcome: 'failed', reason: `the authorizer failed: ${JSON.stringify(payload)}` }
      return authorizer.simpleResponses ? readSimple(payload) : readPolicy(payload)
    } catch (error) {
      return { outcome: 'failed', reason: `the authorizer could not be invoked: ${(error as Error).message}` }
    }
  }

  #remember(key: string, authorization: Authorization, expiresAt: number): void {
    this.#cache.delete(key)
    this.#cache.set(key, { authorization, expiresAt })
    const [oldest] = this.#cache.keys()
    if (this.#cache.size > MAX_CACHED && oldest !== undefined) this.#cache.delete(oldest)
  }
}

function readSimple(payload: unknown): Authorization {
  const response = SimpleResponse.safeParse(payload)
  if (!response.success) return { outcome: 'failed', reason: 'the authorizer did not answer {isAuthorized}' }
  const { isAuthorized, context } = response.data
  return isAuthorized ? { outcome: 'allowed', context } : { outcome: 'denied' }
}

/**
 * The answer of an authorizer with an IAM policy. The statements' resources are not compared: a policy counts for the
 * route it was asked for.
 */
export function readPolicy(payload: unknown): Authorization {
  const response = PolicyResponse.safeParse(payload)
  if (!response.success) return { outcome: 'failed', reason: 'the authorizer did not answer an IAM policy' }
  const effects = response.data.policyDocument.Statement.map(({ Effect }) => Effect)
  const allowed = effects.includes('Allow') && !effects.includes('Deny')
  return allowed ? { outcome: 'allowed', context: response.data.context } : { outcome: 'denied' }
}

function identityValue(source: string, head: RequestHead, { match, stage }: Routed): string | undefined {
  const [, kind, name = ''] =
    /^\$(request\.header|request\.querystring|stageVariables|context)\.(.+)$/.exec(source) ?? []
  if (kind === 'request.header') return head.headers[name.toLowerCase()]
  if (kind === 'request.querystring') return head.query[name]
  if (kind === 'stageVariables') return stage.variables[name]
  if (kind === 'context' && name === 'routeKey') return match.route.routeKey
  if (kind === 'context' && name === 'identity.sourceIp') return head.sourceIp
  throw new Error(`The local gateway does not know the identity source ${source}`)
}
