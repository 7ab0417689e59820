/** Engine.IO's HTTP requests and its answers, errors included: the codes and texts are engine.io's own. */
import { onPolledPacket, openPolling, rejectClient } from './engine.ts'
import { decodeBody, MalformedPacket } from './packets.ts'
import { holdPoll } from './poll.ts'
import type { DeliveryDeps, Received, SocketDeps } from './ports.ts'
import { wasLiveAt } from './session.ts'

const ERRORS = {
  'unknown-transport': { code: 0, message: 'Transport unknown' },
  'unknown-sid': { code: 1, message: 'Session ID unknown' },
  'bad-method': { code: 2, message: 'Bad handshake method' },
  'bad-request': { code: 3, message: 'Bad request' },
  'bad-version': { code: 5, message: 'Unsupported protocol version' },
} as const
type Refusal = keyof typeof ERRORS

export type HttpAnswer =
  | { readonly status: 200; readonly body: string }
  | { readonly status: 400; readonly body: { readonly code: number; readonly message: string } }

type Query = Readonly<Record<string, string | undefined>>

const refuse = (refusal: Refusal): HttpAnswer => ({ status: 400, body: ERRORS[refusal] })

function problemOf({ transport, EIO }: Query): Refusal | undefined {
  if (transport !== 'polling' && transport !== 'websocket') return 'unknown-transport'
  if (EIO !== '4') return 'bad-version'
  // A WebSocket goes to the WebSocket API; one that comes here has lost its upgrade on the way.
  return transport === 'websocket' ? 'bad-request' : undefined
}

/** GET: opens a session, or holds a poll of one. */
export async function answerGet(query: Query, deps: DeliveryDeps): Promise<HttpAnswer> {
  const problem = problemOf(query)
  if (problem) return refuse(problem)
  if (query.sid === undefined) return { status: 200, body: await openPolling(deps) }
  const answer = await holdPoll(query.sid, deps)
  return 'refused' in answer ? refuse(answer.refused) : { status: 200, body: answer.body }
}

/** POST: packets in order. `body` is read only for a session that exists. Throws when they could not be handled: 5xx. */
export async function answerPost(
  query: Query,
  body: () => string,
  received: Received,
  deps: SocketDeps,
): Promise<HttpAnswer> {
  const problem = problemOf(query)
  if (problem) return refuse(problem)
  if (query.sid === undefined) return refuse('bad-method')
  const session = await deps.sessions.get(query.sid)
  if (!session || !wasLiveAt(session, received.at)) return refuse('unknown-sid')
  if (session.transport !== 'polling') return refuse('bad-request')
  try {
    for (const [i, packet] of decodeBody(body()).entries()) {
      // Within the request's millisecond: a payload has at most 1,000 packets, and a double still tells them apart.
      const when = { at: received.at + i / 1_000, requestId: `${received.requestId}-${i}` }
      await onPolledPacket(session.sid, packet, when, deps)
    }
  } catch (error) {
    if (!(error instanceof MalformedPacket)) throw error
    await rejectClient(session.sid, error.message, deps)
    return refuse('bad-request')
  }
  return { status: 200, body: 'ok' }
}
