import type { CachedProfile } from '../profiles/schema.ts'

/** A request for the existing server as the gateway received it. */
export interface ForwardRequest {
  readonly method: string
  /** Decoded, as HTTP APIs give it: an encoded slash has become a slash. */
  readonly path: string
  /** As sent, without the question mark. */
  readonly rawQuery: string
  /** Names in lower case, several values of one name joined by commas; without cookies. */
  readonly headers: Readonly<Record<string, string>>
  readonly cookies: readonly string[]
  readonly body: Buffer
  /** The host that the client called. */
  readonly host: string
}

/** What the existing server answered, without what belonged to its connection. */
export interface ForwardedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Values of its Set-Cookie headers. */
  readonly cookies: readonly string[]
  readonly body: Buffer
}

/** Sends a request to the existing server and to nobody else. @throws ForwardingFailed */
export type Forward = (request: ForwardRequest, options?: { readonly signal?: AbortSignal }) => Promise<ForwardedAnswer>

/** An answer of `GET /api/auth/me` for one token. */
export interface KeptAnswer {
  readonly body: string
  readonly answeredAt: Date
  /** From then on it counts as forgotten. */
  readonly expiresAt: Date
}

/** Answers by token; the token itself is not stored. */
export interface AnswerCache {
  get(token: string): Promise<KeptAnswer | undefined>
  put(token: string, answer: KeptAnswer): Promise<void>
  drop(token: string): Promise<void>
}

/** Where a spawn looks for names and the team's repository. */
export interface ProfileSink {
  put(cached: CachedProfile, expiresAt: Date): Promise<void>
}

export interface ForwardingLog {
  warn(message: string, fields: Record<string, unknown>): void
}
