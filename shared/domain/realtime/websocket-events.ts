/** The WebSocket API's events, told apart: clients speak Engine.IO, containers speak the link's JSON. */
import { createHash } from 'node:crypto'
import { CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import { LINK_HEADERS } from '../../contracts/link.ts'
import type { LinkCredential, LinkRef } from '../environments/links.ts'
import { endSession } from './change-session.ts'
import { connectWebSocket, onSocketFrame, rejectClient } from './engine.ts'
import { linkClosed, onLinkFrame } from './link-messages.ts'
import { decodeFrame, MalformedPacket, PONG } from './packets.ts'
import type { DeliveryDeps, InputDeps, LinkMessageDeps, Received, SocketDeps } from './ports.ts'

type Strings = Readonly<Record<string, string | undefined>>

export interface ConnectDeps extends Pick<DeliveryDeps, 'sessions' | 'clock' | 'newId' | 'work'> {
  readonly admit: (ref: LinkRef, credential: LinkCredential) => Promise<boolean>
}

/** `$connect`. The status that answers the upgrade: 401 and 403 are final for a container, 400 makes a client start anew. */
export async function onConnect(
  connection: { connectionId: string; headers: Strings; query: Strings },
  deps: ConnectDeps,
): Promise<200 | 400 | 401 | 403> {
  const { connectionId, headers, query } = connection
  if (headers[LINK_HEADERS.environment] === undefined) {
    return (await connectWebSocket(connectionId, query, deps)) ? 200 : 400
  }
  const link = parseLinkHeaders(headers)
  if (!link) return 401
  if (!(await deps.admit(link.ref, link.credential))) return 403
  const expiresAt = Math.ceil(deps.clock.now().getTime() / 1000) + CONNECTION_TTL_HOURS * 3600
  await deps.sessions.bind(connectionId, { kind: 'link', ref: link.ref }, expiresAt)
  return 200
}

const ENVIRONMENT = /^([A-Za-z0-9_-]{1,64})\/([A-Za-z0-9_-]{1,128})\/([1-9]\d{0,8})$/
const CREDENTIAL = /^(Ticket|Link) ([\w.~+/=-]{16,512})$/
const SHA256_HEX = /^[0-9a-f]{64}$/

function parseLinkHeaders(headers: Strings): { ref: LinkRef; credential: LinkCredential } | undefined {
  const [, teamId, id, generation] = ENVIRONMENT.exec(headers[LINK_HEADERS.environment] ?? '') ?? []
  const [, kind, secret] = CREDENTIAL.exec(headers[LINK_HEADERS.authorization] ?? '') ?? []
  if (teamId === undefined || id === undefined || secret === undefined) return undefined
  const ref = { teamId, id, generation: Number(generation) }
  if (kind === 'Link') return { ref, credential: { kind: 'key', keyHash: sha256(secret) } }
  const keyHash = headers[LINK_HEADERS.keyHash] ?? ''
  return SHA256_HEX.test(keyHash)
    ? { ref, credential: { kind: 'ticket', ticketHash: sha256(secret), keyHash } }
    : undefined
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

interface Message {
  readonly connectionId: string
  readonly text: string
  readonly received: Received
}

/** A frame on `$default`: a client's. Of anybody else it ends the connection. */
export async function onClientMessage({ connectionId, text, received }: Message, deps: SocketDeps): Promise<void> {
  // Every client sends one a minute, and whoever sends it needs no answer: it costs no read.
  if (text === PONG) return
  await closingOnTrouble(connectionId, deps, async () => {
    const connection = await deps.sessions.connection(connectionId)
    if (connection?.kind !== 'socket') return deps.poster.close(connectionId)
    const { sid } = connection
    try {
      await onSocketFrame({ sid, connectionId }, decodeFrame(text), received, deps)
    } catch (error) {
      if (!(error instanceof MalformedPacket)) throw error
      await deps.poster.close(connectionId)
      await rejectClient(sid, error.message, deps)
    }
  })
}

/** A frame on the `link` route: a container's. Of anybody else it ends the connection. */
export async function onContainerMessage(
  { connectionId, text, received }: Message,
  deps: LinkMessageDeps,
): Promise<void> {
  await closingOnTrouble(connectionId, deps, async () => {
    const connection = await deps.sessions.connection(connectionId)
    if (connection?.kind !== 'link') return deps.poster.close(connectionId)
    await onLinkFrame({ ...connection, connectionId }, { text, receivedAt: new Date(received.at) }, deps)
  })
}

/**
 * A message that could not be handled must not pass for handled: the connection is closed, so that the other side reconnects
 * and resumes (a client by its offset, a container by the log's end). The error goes on to be logged and counted.
 */
async function closingOnTrouble(
  connectionId: string,
  { poster }: Pick<DeliveryDeps, 'poster'>,
  handle: () => Promise<void>,
): Promise<void> {
  try {
    await handle()
  } catch (error) {
    await poster.close(connectionId)
    throw error
  }
}

/** `$disconnect`, which the gateway sends at best effort: sessions end by it, by a 410, or by their time. */
export async function onDisconnect(
  connectionId: string,
  deps: Pick<DeliveryDeps, 'sessions' | 'clock' | 'sleep'> & Pick<InputDeps, 'links'>,
): Promise<void> {
  const connection = await deps.sessions.connection(connectionId)
  if (!connection) return
  if (connection.kind === 'link') return linkClosed(connection.ref, connectionId, deps)
  await endSession(connection.sid, deps, { connectionId })
}
