/**
 * Previews, as the control plane and the gateway know them together: names, limits, the directory the gateway looks a host up in,
 * and what a ticket and a cookie say. How those are signed: shared/domain/previews/signatures.ts.
 */
import * as z from 'zod'
import { PREVIEW_LAST_LINES, PREVIEW_LINE_CHARS, PreviewBranchSchema, PreviewReportSchema } from './preview-link.ts'
import { tables } from './tables.ts'

/** 100 random bits in lower case base32 (RFC 4648): nobody comes across a host by trying. */
export const PREVIEW_LABEL_RANDOM_CHARS = 20
/** A preview's one DNS label below the preview domain, `workspace-<20 chars>`; lower case, as hosts are compared. */
export const PreviewLabelSchema = z.string().regex(/^(main|staging|workspace)-[a-z2-7]{20}$/)

/** Milliseconds between two writes of `lastVisitAt` for one preview by one gateway. */
export const PREVIEW_VISIT_INTERVAL_MS = 60_000
/** Milliseconds between two wake-ups that one gateway asks for one preview. */
export const PREVIEW_WAKE_INTERVAL_MS = 10_000

/** Milliseconds a ticket is good for: the frontend loads the address as soon as it has it. */
export const PREVIEW_TICKET_TTL_MS = 5 * 60_000
/** Milliseconds a cookie is good for at most: as long as the app's own tokens (24 h). It ends with the token that was shown for its ticket. */
export const PREVIEW_COOKIE_TTL_MS = 24 * 60 * 60_000
/** Longest ticket or cookie value the gateway looks at, in characters. */
export const PREVIEW_SIGNED_MAX_CHARS = 1024

/**
 * Milliseconds without a byte in either direction after which the gateway cuts a preview's WebSocket or event stream. Not every page
 * pings: Vite's does every 30 s (`pingInterval`, `client.mjs`), webpack-dev-server every second (`heartbeatInterval`,
 * `WebsocketServer.js`), but Next.js with Turbopack never (`useWebsocketPing`, `use-websocket.ts`), nor do most applications.
 */
export const PREVIEW_SILENCE_MS = 60 * 60_000
/**
 * Milliseconds of silence after which the load balancer cuts: later than the gateway, which knows what the silence means. 1 to 4,000
 * whole seconds (`idle_timeout.timeout_seconds`, ELB API, `LoadBalancerAttribute`).
 */
export const PREVIEW_BALANCER_IDLE_MS = PREVIEW_SILENCE_MS + 60_000
/**
 * Milliseconds for which the gateway keeps a connection that carries no request: longer than the balancer, which must not send one into a
 * connection that is just being closed (502; ELB guide, "Connection idle timeout").
 */
export const PREVIEW_KEEP_ALIVE_MS = PREVIEW_BALANCER_IDLE_MS + 60_000

/** First segment of every path that is the gateway's own, on every preview host, in every spelling. */
export const PREVIEW_OWN_SEGMENT = '__covibes'
/** `<prefix><ticket>/[path]`: redeems the ticket and goes on to `/[path]`. */
export const PREVIEW_ENTER_PREFIX = `/${PREVIEW_OWN_SEGMENT}/enter/`
/** `__Host-`: Secure, Path=/, no Domain, and set by that host alone (RFC 6265bis §4.1.3.2). */
export const PREVIEW_COOKIE = '__Host-covibes-preview'

const Instant = z.number().int().min(0)

/**
 * What a ticket says. Both times in milliseconds since the epoch: the ticket is good until `exp`, and what it is changed for until
 * `until`, when the token ends with which the member asked. `id`: what makes it single-use.
 */
export const PreviewTicketSchema = z.object({
  label: PreviewLabelSchema,
  teamId: z.string().min(1).max(64),
  userId: z.string().min(1).max(128),
  exp: Instant,
  until: Instant,
  id: z.string().regex(/^[A-Za-z0-9_-]{16,64}$/),
})
export type PreviewTicket = z.infer<typeof PreviewTicketSchema>

/** What a cookie says: this member may see this preview until `exp` (milliseconds since the epoch). */
export const PreviewCookieSchema = PreviewTicketSchema.pick({ label: true, userId: true, exp: true })
export type PreviewCookie = z.infer<typeof PreviewCookieSchema>

/**
 * A host's preview, brought up to date by the control plane with every change of its record. `lastVisitAt` is the gateway's to
 * write: whoever else writes the item leaves it as it is, or sets it when the preview starts.
 */
export const PreviewDirectoryItemSchema = z.object({
  teamId: z.string().min(1),
  branch: PreviewBranchSchema,
  environmentId: z.string().min(1),
  /** The record's. */
  status: z.enum(['requested', 'starting', 'running', 'stopping', 'completed', 'failed', 'killed']),
  /** It was stopped because nobody visited it: the next visit starts it. */
  idle: z.boolean().default(false),
  /** The task's, when it has one; never a name, so nothing is resolved. */
  address: z.union([z.ipv4(), z.ipv6()]).optional(),
  /** The dev server's, as long as the record holds its lease. */
  port: z.number().int().min(1).max(65_535).optional(),
  /** How far its task is, until its server answers. */
  phase: PreviewReportSchema.shape.phase.exclude(['ready']).optional(),
  /** Why it is not up, in words. */
  reason: z.string().max(2_000).optional(),
  /** Newest last. */
  lastLines: z.array(z.string().max(PREVIEW_LINE_CHARS)).max(PREVIEW_LAST_LINES).optional(),
  /** Anybody who knows the address may see it. */
  public: z.boolean(),
  /** Milliseconds since the epoch. */
  lastVisitAt: Instant.optional(),
})
export type PreviewDirectoryItem = z.infer<typeof PreviewDirectoryItemSchema>

/**
 * The directory. `LABEL#<label>`: a `PreviewDirectoryItem`; the control plane creates and removes it. `TICKET#<id>`: a ticket that was
 * used, kept until it has expired (`by`: who used it, so that a repeated write is known to be one's own).
 */
export const previewsTable = tables.previews
export const previewKeys = {
  label: (label: string): string => `LABEL#${label}`,
  ticket: (id: string): string => `TICKET#${id}`,
}

/** On the work queue: a preview that was stopped for idleness is visited. */
export const WakePreviewSchema = z.object({
  kind: z.literal('wake-preview'),
  label: PreviewLabelSchema,
  teamId: z.string().min(1),
  environmentId: z.string().min(1),
  correlationId: z.string(),
})
export type WakePreview = z.infer<typeof WakePreviewSchema>
