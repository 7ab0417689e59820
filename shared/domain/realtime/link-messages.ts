/** What a container says over its link: hello, output, health, exit, and what only a preview or workspace sync says. */
import * as z from 'zod'
import { CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import { type LinkDown, type LinkUp, LinkUpSchema } from '../../contracts/link.ts'
import { PreviewReportSchema } from '../../contracts/preview-link.ts'
import type { AgentOrders, LinkRef, PreviewOrders, SyncOrders } from '../environments/links.ts'
import { appendOutput, placeOf } from '../terminal/append.ts'
import { type News, tellRoom } from './fan-out.ts'
import { changeLink, postInputs, postToLink } from './link-input.ts'
import { connected, disconnected, type Input, type Link } from './link-state.ts'
import type { Connection, LinkedContainer, LinkMessageDeps } from './ports.ts'
import { publishEntries } from './publishing.ts'
import { onSyncMessage, welcomeOfSync } from './sync-messages.ts'

type LinkConnection = Extract<Connection, { kind: 'link' }> & { readonly connectionId: string }

const newsOf = ({ teamId, id }: LinkRef): Extract<News, { kind: 'terminal' }> => ({
  kind: 'terminal',
  teamId,
  agentId: id,
})
const logFields = ({ teamId, id, generation }: LinkRef) => ({ teamId, environmentId: id, generation })

/** EX_CONFIG of sysexits.h. */
const NOT_CONFIGURED = 78

/** One frame of a link, and when the gateway received it. What is not a message of the protocol closes the link, nothing else. */
export async function onLinkFrame(
  link: LinkConnection,
  { text, receivedAt }: { readonly text: string; readonly receivedAt: Date },
  deps: LinkMessageDeps,
): Promise<void> {
  const message = parseFrame(text)
  if (!message.success) {
    deps.log.warn('Not a link message, closing', { ...logFields(link.ref), problem: z.prettifyError(message.error) })
    return closeLink(link, deps)
  }
  return onLinkMessage(link, message.data, receivedAt, deps)
}

function parseFrame(text: string): z.ZodSafeParseResult<LinkUp> {
  try {
    return LinkUpSchema.safeParse(JSON.parse(text))
  } catch {
    // The parser's message would repeat the text; the schema's complaint about a missing object says enough.
    return LinkUpSchema.safeParse(undefined)
  }
}

/** Who may send what; the other messages are anybody's. */
const SPEAKERS: { readonly [T in LinkUp['type']]?: readonly LinkedContainer[] } = {
  output: ['agent', 'preview'],
  preview: ['preview'],
  sync: ['sync'],
  'ask-authors': ['sync'],
  answer: ['sync'],
}

/** Of a connection that was bound before its container was welcomed, the record says it. */
async function containerOf(
  { container, ref }: LinkConnection,
  deps: LinkMessageDeps,
): Promise<LinkedContainer | undefined> {
  return container ?? (await deps.environments.get(ref))?.type
}

async function onLinkMessage(
  link: LinkConnection,
  message: LinkUp,
  receivedAt: Date,
  deps: LinkMessageDeps,
): Promise<void> {
  const { ref } = link
  const speakers = SPEAKERS[message.type]
  const container = speakers && (await containerOf(link, deps))
  if (speakers && (container === undefined || !speakers.includes(container))) {
    deps.log.warn('A message that this container may not send, dropped', { ...logFields(ref), type: message.type })
    return
  }
  switch (message.type) {
    case 'hello':
      return hello(link, deps)
    case 'output':
      return output(link, message, deps)
    case 'health': {
      const { status, detail, lateInputs } = message
      if (lateInputs) deps.log.info('Inputs outside the reorder window', { ...logFields(ref), lateInputs })
      await publishEntries(await deps.recordHealth(ref, { status, detail }), deps)
      // Every 30 s: what a delivery that died has left behind for this terminal's viewers.
      await tellRoom(newsOf(ref), deps)
      return
    }
    case 'exit': {
      const { exitCode, signal, reason } = message
      return publishEntries(await deps.recordExit(ref, { exitCode, signal, reason }), deps)
    }
    case 'preview': {
      const report = PreviewReportSchema.parse(message)
      return publishEntries(await deps.recordPreviewReport(ref, report, receivedAt), deps)
    }
    case 'sync':
    case 'ask-authors':
    case 'answer':
      if ((await onSyncMessage(link, message, receivedAt, deps)) === 'unreachable') await closeLink(link, deps)
  }
}

/** Closes a link; its container opens a new one unless it is told otherwise. */
async function closeLink({ connectionId, ref }: LinkConnection, deps: LinkMessageDeps): Promise<void> {
  await deps.poster.close(connectionId)
  await linkClosed(ref, connectionId, deps)
}

/**
 * The connection is over; a newer one of the same record stays. What the gateway received over it before is still handled:
 * a container that ends says so last, and its disconnect may be handled first.
 */
export async function linkClosed(
  ref: LinkRef,
  connectionId: string,
  deps: Pick<LinkMessageDeps, 'links' | 'clock' | 'sleep'>,
): Promise<void> {
  const current = await deps.links.get(ref)
  if (current?.connectionId !== connectionId) return
  await changeLink(ref, (link) => (link.connectionId === connectionId ? disconnected(link) : link), deps)
}

async function dismiss(link: LinkConnection, reason: string, deps: LinkMessageDeps): Promise<void> {
  deps.log.info('Container dismissed', { ...logFields(link.ref), reason })
  await postToLink(link.connectionId, { type: 'dismissed', reason }, deps)
  await closeLink(link, deps)
}

/**
 * Welcomes the container: what it is to do, and from which byte it is to send its output. Only after that is the link known to
 * those who send input, so nothing reaches the container before its welcome; what was held for it goes out then.
 */
async function hello(link: LinkConnection, deps: LinkMessageDeps): Promise<void> {
  const { ref } = link
  const [orders, known] = await Promise.all([deps.orders(ref), deps.links.get(ref)])
  if ('dismissed' in orders) return dismiss(link, orders.dismissed, deps)
  if ((known?.generation ?? 0) > ref.generation) return dismiss(link, SUPERSEDED, deps)
  if ('sync' in orders) return helloSync(link, orders, deps)
  if ('preview' in orders) return helloPreview(link, orders, deps)
  return helloAgent(link, orders, known?.size, deps)
}

const SUPERSEDED = 'a newer container has taken over'

async function helloAgent(
  link: LinkConnection,
  orders: AgentOrders,
  size: Link['size'],
  deps: LinkMessageDeps,
): Promise<void> {
  const { ref, connectionId } = link
  const place = await placeOf(ref, ref.generation, deps)
  if (place === 'superseded') return dismiss(link, SUPERSEDED, deps)
  const model = orders.agent.program === 'claude' ? await deps.model(ref.teamId) : undefined
  if (orders.agent.program === 'claude' && !model) {
    return notConfigured(link, 'No model key is set for this team', deps)
  }
  await bind({ ...link, container: 'agent', base: place.base }, deps)
  const terminal = size ? { cols: size.cols, rows: size.rows } : orders.terminal
  const welcome: LinkDown = {
    type: 'welcome',
    ...orders,
    ...(model ? { model } : {}),
    terminal,
    acknowledged: place.end,
  }
  if ((await postToLink(connectionId, welcome, deps)) !== 'sent') return closeLink(link, deps)
  await takeOver(link, terminal, deps)
}

async function helloPreview(link: LinkConnection, { preview }: PreviewOrders, deps: LinkMessageDeps): Promise<void> {
  const { ref, connectionId } = link
  const place = await placeOf(ref, ref.generation, deps)
  if (place === 'superseded') return dismiss(link, SUPERSEDED, deps)
  await bind({ ...link, container: 'preview', base: place.base }, deps)
  const welcome: LinkDown = { type: 'welcome-preview', ...preview, acknowledged: place.end }
  if ((await postToLink(connectionId, welcome, deps)) !== 'sent') return closeLink(link, deps)
  await takeOver(link, undefined, deps)
}

async function helloSync(link: LinkConnection, orders: SyncOrders, deps: LinkMessageDeps): Promise<void> {
  const { ref, connectionId } = link
  const welcome = await welcomeOfSync(ref, orders, deps)
  if ('unusable' in welcome) return notConfigured(link, welcome.unusable, deps)
  await bind({ ...link, container: 'sync' }, deps)
  if ((await postToLink(connectionId, welcome, deps)) !== 'sent') return closeLink(link, deps)
  await takeOver(link, undefined, deps)
}

/** Ends a container that cannot work. Said in its own name, so that the record keeps it as the reason when ECS tells of the end. */
async function notConfigured(link: LinkConnection, reason: string, deps: LinkMessageDeps): Promise<void> {
  await publishEntries(await deps.recordExit(link.ref, { exitCode: NOT_CONFIGURED, reason }), deps)
  return dismiss(link, reason, deps)
}

async function bind({ connectionId, ...link }: LinkConnection, deps: LinkMessageDeps): Promise<void> {
  const expiresAt = Math.ceil(deps.clock.now().getTime() / 1000) + CONNECTION_TTL_HOURS * 3600
  await deps.sessions.bind(connectionId, link, expiresAt)
}

/** Makes this the record's link, closes the one before, and sends what has waited. */
async function takeOver(
  link: LinkConnection,
  told: { cols: number; rows: number } | undefined,
  deps: LinkMessageDeps,
): Promise<void> {
  const { ref, connectionId } = link
  let before: Link | undefined
  const now = await changeLink(
    ref,
    (current) => {
      before = current.generation > ref.generation ? undefined : current
      return before ? connected(current, ref.generation, connectionId) : current
    },
    deps,
  )
  if (!before) return dismiss(link, SUPERSEDED, deps)
  if (before.connectionId !== undefined && before.connectionId !== connectionId) {
    await deps.poster.close(before.connectionId)
  }
  if (told && now.size && (now.size.cols !== told.cols || now.size.rows !== told.rows)) {
    const { cols, rows } = now.size
    await postToLink(connectionId, { type: 'resize', cols, rows }, deps)
  }
  // What was typed for an earlier generation was meant for a program that is no more.
  const isSameContainer = before.generation === ref.generation || before.generation === 0
  if (isSameContainer) await sendHeld(link, before.held, deps)
}

async function sendHeld(link: LinkConnection, held: readonly Input[], deps: LinkMessageDeps): Promise<void> {
  const { outcome, count } = await postInputs(link.connectionId, held, deps)
  if (outcome === 'sent') return
  // The container knows the ids of what it has: all the rest waits for its next link.
  await closeLink(link, deps)
  const rest = held.slice(count)
  await changeLink(link.ref, (current) => ({ ...current, held: [...rest, ...current.held] }), deps)
}

/** Stores, then acknowledges while the viewers are told: a slow viewer never holds the container up. */
async function output(
  link: LinkConnection,
  { offset, data }: Extract<LinkUp, { type: 'output' }>,
  deps: LinkMessageDeps,
): Promise<void> {
  const { ref, connectionId, base } = link
  const { generation } = ref
  const stored = await appendOutput(ref, { generation, offset, data, base }, deps)
  if (stored.outcome === 'superseded') return dismiss(link, SUPERSEDED, deps)
  if (stored.base !== base) await bind({ ...link, base: stored.base }, deps)
  const acknowledge = async (): Promise<void> => {
    const outcome = await postToLink(connectionId, { type: 'ack', offset: stored.end }, deps)
    if (outcome !== 'sent') await closeLink(link, deps)
  }
  const fresh = stored.outcome === 'appended' ? stored.chunks : []
  await Promise.all([acknowledge(), tellRoom({ ...newsOf(ref), fresh }, deps)])
}
