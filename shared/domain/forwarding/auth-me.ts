/**
 * `GET /api/auth/me`: the frontend forgets its token when this fails once (contract §2). So what the existing server said last
 * for the very same token stands in for it while it is slow, down or failing. Only its own 401 and 403 end that.
 */
import * as z from 'zod'
import { AUTH_ME_KEPT_MS, AUTH_ME_PATIENCE_MS } from '../../contracts/limits.ts'
import type { Clock } from '../clock.ts'
import { PROFILE_STALE_MS } from '../profiles/profiles.ts'
import type { Profile } from '../profiles/schema.ts'
import { tokenExpiry } from '../token-expiry.ts'
import { ForwardingFailed } from './errors.ts'
import type {
  AnswerCache,
  Forward,
  ForwardedAnswer,
  ForwardingLog,
  ForwardRequest,
  KeptAnswer,
  ProfileSink,
} from './ports.ts'

/** Bytes of an answer that is kept; the existing server's are below one thousand. */
const MAX_KEPT_BYTES = 64 * 1024
/** Milliseconds after which an unchanged answer is stored anew, which moves its end. */
const REFRESH_MS = 60 * 60_000

export interface AuthMeDeps {
  readonly forward: Forward
  readonly answers: AnswerCache
  readonly profiles: ProfileSink
  /** What an answer says of the member; undefined when it says nothing usable. */
  readonly profileOf: (answer: unknown) => Profile | undefined
  readonly clock: Clock
  readonly log: ForwardingLog
  /** Resolves after so many milliseconds, or when aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

/** The least that the frontend can live with; anything else is passed on, but never kept. */
const GoodSchema = z.looseObject({
  user: z.looseObject({ id: z.string().min(1) }),
  team: z.looseObject({ id: z.string().min(1) }),
})

/** Statuses that say something about the moment, not about the token. */
const isTransient = (status: number) => status >= 500 || status === 408 || status === 429

/** @param token The bearer token of the request; undefined when it has none that can be read. @throws ForwardingFailed */
export async function authMe(
  request: ForwardRequest,
  token: string | undefined,
  deps: AuthMeDeps,
): Promise<ForwardedAnswer> {
  if (token === undefined) return deps.forward(request)
  const giveUp = new AbortController()
  const kept = keptAnswer(token, deps)
  const answering = ask(request, giveUp.signal, deps)
  const first = await firstOf(answering, deps)
  if (first === 'slow' || first.kind === 'trouble') {
    const known = await kept
    if (known) {
      giveUp.abort()
      deps.log.warn('GET /api/auth/me answered in place of the existing server', {
        reason: first === 'slow' ? `no answer within ${AUTH_ME_PATIENCE_MS} ms` : first.reason,
        answeredAt: known.answeredAt.toISOString(),
      })
      return inItsPlace(known, deps.clock)
    }
  }
  const outcome = await answering
  if (outcome.kind === 'trouble' && outcome.error) throw outcome.error
  if (outcome.answer.status === 401 || outcome.answer.status === 403) await forget(token, deps)
  if (outcome.kind === 'good') await remember(token, outcome, await kept, deps)
  return outcome.answer
}

/** What came of it, or `slow` when nothing has within the time that a page may wait. */
async function firstOf(answering: Promise<Outcome>, { wait }: AuthMeDeps): Promise<Outcome | 'slow'> {
  const patience = new AbortController()
  try {
    return await Promise.race([answering, wait(AUTH_ME_PATIENCE_MS, patience.signal).then(() => 'slow' as const)])
  } finally {
    patience.abort()
  }
}

type Outcome =
  | { readonly kind: 'good'; readonly answer: ForwardedAnswer; readonly text: string; readonly content: unknown }
  | { readonly kind: 'verdict'; readonly answer: ForwardedAnswer }
  | { readonly kind: 'trouble'; readonly answer: ForwardedAnswer; readonly reason: string; readonly error?: undefined }
  | { readonly kind: 'trouble'; readonly error: ForwardingFailed; readonly reason: string }

/** Never rejects for what the existing server does. */
async function ask(request: ForwardRequest, signal: AbortSignal, { forward }: AuthMeDeps): Promise<Outcome> {
  let answer: ForwardedAnswer
  try {
    answer = await forward({ ...request, headers: whole(request.headers) }, { signal })
  } catch (error) {
    // Without an existing server there is nothing to stand in for.
    if (error instanceof ForwardingFailed && error.failure !== 'not-configured')
      return { kind: 'trouble', error, reason: error.message }
    throw error
  }
  if (isTransient(answer.status)) return { kind: 'trouble', answer, reason: `status ${answer.status}` }
  if (answer.status !== 200) return { kind: 'verdict', answer }
  const text = answer.body.toString('utf8')
  const content = jsonOrUndefined(text)
  if (answer.headers['content-encoding'] === undefined && GoodSchema.safeParse(content).success)
    return { kind: 'good', answer, text, content }
  // A maintenance page, say. The frontend would take it for a refusal.
  return { kind: 'trouble', answer, reason: 'an answer that names no user and team' }
}

/** Without what would make the answer a 304 or compressed: it is read here, and must be whole. */
function whole(headers: ForwardRequest['headers']): ForwardRequest['headers'] {
  const { 'if-none-match': _match, 'if-modified-since': _since, ...rest } = headers
  return { ...rest, 'accept-encoding': 'identity' }
}

async function keptAnswer(token: string, { answers, clock, log }: AuthMeDeps): Promise<KeptAnswer | undefined> {
  try {
    const kept = await answers.get(token)
    // The table forgets later than it should.
    return kept && kept.expiresAt > clock.now() ? kept : undefined
  } catch (error) {
    log.warn('Kept answer of GET /api/auth/me not read', { error })
    return undefined
  }
}

async function remember(
  token: string,
  { text, content }: Extract<Outcome, { kind: 'good' }>,
  known: KeptAnswer | undefined,
  { answers, profiles, profileOf, clock, log }: AuthMeDeps,
): Promise<void> {
  const now = clock.now()
  const expiry = tokenExpiry(token)
  const isNews = known?.body !== text
  if (!isNews && now.getTime() - known.answeredAt.getTime() < REFRESH_MS) return
  try {
    if (expiry !== undefined && Buffer.byteLength(text) <= MAX_KEPT_BYTES) {
      const expiresAt = new Date(Math.min(expiry, now.getTime() + AUTH_ME_KEPT_MS))
      if (expiresAt > now) await answers.put(token, { body: text, answeredAt: now, expiresAt })
    }
    // A spawn right after the team has chosen its repository must not start in the former one.
    const profile = isNews ? profileOf(content) : undefined
    if (profile)
      await profiles.put({ profile, fetchedAt: now.toISOString() }, new Date(now.getTime() + PROFILE_STALE_MS))
  } catch (error) {
    log.warn('Answer of GET /api/auth/me not kept', { error })
  }
}

async function forget(token: string, { answers, log }: AuthMeDeps): Promise<void> {
  try {
    await answers.drop(token)
  } catch (error) {
    log.warn('Kept answer of GET /api/auth/me not dropped', { error })
  }
}

function inItsPlace({ body, answeredAt }: KeptAnswer, clock: Clock): ForwardedAnswer {
  const age = Math.max(0, Math.floor((clock.now().getTime() - answeredAt.getTime()) / 1000))
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', age: String(age) }
  return { status: 200, headers, cookies: [], body: Buffer.from(body) }
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the schema refuses it
  }
}
