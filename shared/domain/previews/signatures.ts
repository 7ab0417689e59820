/** Tickets and cookies of previews: `base64url(JSON) + '.' + base64url(HMAC-SHA256)`. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type * as z from 'zod'
import type { PreviewBranch } from '../../contracts/preview-link.ts'
import {
  PREVIEW_ENTER_PREFIX,
  PREVIEW_LABEL_RANDOM_CHARS,
  PREVIEW_SIGNED_MAX_CHARS,
  type PreviewCookie,
  PreviewCookieSchema,
  type PreviewTicket,
  PreviewTicketSchema,
} from '../../contracts/previews.ts'

/** Least length of the secret, in characters: what a 256-bit key has in base64url. */
export const MIN_SECRET_CHARS = 43

export type Verified<T> =
  | { readonly ok: true; readonly value: T }
  /** `invalid`: not of this secret, this kind or this form. */
  | { readonly ok: false; readonly why: 'invalid' | 'expired' }

/** The kind is part of what is signed: a ticket is no cookie, and a cookie no ticket. */
type Kind = 'preview-ticket' | 'preview-cookie'

const signature = (kind: Kind, body: string, secret: string): Buffer =>
  createHmac('sha256', secret).update(`${kind}.${body}`).digest()

function sign(kind: Kind, value: object, secret: string): string {
  if (secret.length < MIN_SECRET_CHARS)
    throw new Error(`The secret of previews has fewer than ${MIN_SECRET_CHARS} characters`)
  const body = Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${body}.${signature(kind, body, secret).toString('base64url')}`
}

/** The signature is compared in constant time and before anything of the body is read. */
function verify<T extends { exp: number }>(
  kind: Kind,
  schema: z.ZodType<T>,
  text: string,
  secret: string,
  now: number,
): Verified<T> {
  const invalid = { ok: false, why: 'invalid' } as const
  if (text.length > PREVIEW_SIGNED_MAX_CHARS) return invalid
  const match = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/.exec(text)
  if (!match?.[1] || !match[2]) return invalid
  if (!timingSafeEqual(signature(kind, match[1], secret), Buffer.from(match[2], 'base64url'))) return invalid
  // What carries our signature was written by us: JSON. Its schema may still be one of another version.
  const parsed = schema.safeParse(JSON.parse(Buffer.from(match[1], 'base64url').toString()))
  if (!parsed.success) return invalid
  return parsed.data.exp > now ? { ok: true, value: parsed.data } : { ok: false, why: 'expired' }
}

export const issueTicket = (ticket: PreviewTicket, secret: string): string =>
  sign('preview-ticket', PreviewTicketSchema.parse(ticket), secret)
/** `now`: milliseconds since the epoch. That a ticket is used once is its redeemer's business. */
export const verifyTicket = (text: string, secret: string, now: number): Verified<PreviewTicket> =>
  verify('preview-ticket', PreviewTicketSchema, text, secret, now)

export const issueCookie = (cookie: PreviewCookie, secret: string): string =>
  sign('preview-cookie', PreviewCookieSchema.parse(cookie), secret)
export const verifyCookie = (text: string, secret: string, now: number): Verified<PreviewCookie> =>
  verify('preview-cookie', PreviewCookieSchema, text, secret, now)

/** An id for a ticket: 144 random bits. */
export const newTicketId = (): string => randomBytes(18).toString('base64url')

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** A label that nobody can guess. 256 is a multiple of 32, so every character is equally likely. */
export function newPreviewLabel(branch: PreviewBranch): string {
  let random = ''
  for (const byte of randomBytes(PREVIEW_LABEL_RANDOM_CHARS)) random += BASE32[byte % 32]
  return `${branch}-${random}`
}

/** The address the frontend opens, without a `?`: it appends its own. `origin`: `https://<label>.<preview domain>`. */
export const enterUrl = (origin: string, ticket: string): string => `${origin}${PREVIEW_ENTER_PREFIX}${ticket}/`
