/**
 * To the container: typed input, resizes, signals, over its link. Messages of one link may overtake each other (they are
 * posted by handlers that run side by side), so input carries the gateway's receive time and an id, and the container sorts
 * within its window and drops repeated ids; a resize is repeated until the newest was posted last.
 */
import { LINK_CHUNK_MAX_ENCODED_BYTES } from '../../contracts/limits.ts'
import type { AgentSignal, LinkDown } from '../../contracts/link.ts'
import type { EnvironmentRef } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import { Unavailable } from '../errors.ts'
import { splitEncoded } from '../terminal/split.ts'
import { FULL_WAITS_MS, MAX_CAS_TRIES } from './limits.ts'
import { disconnected, holding, type Input, type Link, linkOr } from './link-state.ts'
import type { InputDeps } from './ports.ts'

/**
 * `sent`: the gateway has taken all of it. `held`: the container is starting or reconnecting and gets it then. `ended`: there
 * is no live agent. `too-much`: not held, because too much is held already. `unreachable`: some of it may be lost.
 */
export type InputOutcome = 'sent' | 'held' | 'ended' | 'too-much' | 'unreachable'

/** Digits of the number that orders the pieces of one input: 1 MB makes some 40 to 250 of them. */
const PIECE_DIGITS = 5

/**
 * Sends what a member typed. The caller has checked that the member may. `id` is unique per input (the gateway's request id),
 * `at` its receive time; both are the same for everything that one request carried, in the order of the calls.
 */
export async function sendInput(ref: EnvironmentRef, { id, at, data }: Input, deps: InputDeps): Promise<InputOutcome> {
  const pieces = splitEncoded(data, LINK_CHUNK_MAX_ENCODED_BYTES).map(
    (piece, i): Input => ({ id: `${id}-${String(i).padStart(PIECE_DIGITS, '0')}`, at, data: piece }),
  )
  const link = await deps.links.get(ref)
  if (link?.connectionId === undefined) return hold(ref, pieces, deps)
  const posted = await postInputs(link.connectionId, pieces, deps)
  if (posted.outcome === 'sent') return 'sent'
  if (posted.outcome === 'full') return 'unreachable'
  await dropConnection(ref, link.connectionId, posted.outcome, deps)
  return hold(ref, pieces.slice(posted.count), deps)
}

/** Posts in order. An unclear post is repeated once: the container knows the id. */
export async function postInputs(
  connectionId: string,
  inputs: readonly Input[],
  deps: Pick<InputDeps, 'poster' | 'sleep'>,
): Promise<{ outcome: 'sent' | 'gone' | 'full' | 'unclear'; count: number }> {
  for (const [count, input] of inputs.entries()) {
    const message: LinkDown = { type: 'input', ...input }
    let outcome = await postToLink(connectionId, message, deps)
    if (outcome === 'unclear') outcome = await postToLink(connectionId, message, deps)
    if (outcome !== 'sent') return { outcome, count }
  }
  return { outcome: 'sent', count: inputs.length }
}

/** One message, patient with a full buffer for as long as a person would be. */
export async function postToLink(
  connectionId: string,
  message: LinkDown,
  { poster, sleep }: Pick<InputDeps, 'poster' | 'sleep'>,
): Promise<'sent' | 'gone' | 'full' | 'unclear'> {
  const text = JSON.stringify(message)
  for (const pause of [...FULL_WAITS_MS, undefined]) {
    const outcome = await poster.post(connectionId, text)
    if (outcome !== 'full' || pause === undefined) return outcome
    await sleep(pause)
  }
  return 'full'
}

/** Keeps input for a live container that is not connected; sends it when it has connected meanwhile. */
async function hold(ref: EnvironmentRef, pieces: readonly Input[], deps: InputDeps): Promise<InputOutcome> {
  const record = await deps.environments.get(ref)
  if (!record || isFinal(record.status) || record.deletedAt !== undefined) return 'ended'
  let isFull = false
  const link = await changeLink(
    ref,
    (current) => {
      if (current.connectionId !== undefined) return current
      const next = holding(current, pieces)
      isFull = next === undefined
      return next ?? current
    },
    deps,
  )
  if (isFull) return 'too-much'
  if (link.connectionId === undefined) return 'held'
  const { outcome } = await postInputs(link.connectionId, pieces, deps)
  return outcome === 'sent' ? 'sent' : 'unreachable'
}

/** The link's compare-and-set; `decide` answers the same object to leave it. Answers the link afterwards. */
export async function changeLink(
  ref: EnvironmentRef,
  decide: (link: Link) => Link,
  { links, clock, sleep }: Pick<InputDeps, 'links' | 'clock' | 'sleep'>,
): Promise<Link> {
  for (let tries = 1; tries <= MAX_CAS_TRIES; tries++) {
    const link = linkOr(await links.get(ref), clock.now().getTime())
    const next = decide(link)
    if (next === link) return link
    if (await links.put(ref, next)) return { ...next, revision: next.revision + 1 }
    await sleep(Math.random() * Math.min(5 * tries, 50))
  }
  throw new Unavailable('a link is being changed by too many at once')
}

/** A link that cannot be posted to is of no use: the container opens a new one, and what waits goes out over that. */
export async function dropConnection(
  ref: EnvironmentRef,
  connectionId: string,
  outcome: 'gone' | 'unclear',
  deps: InputDeps,
): Promise<void> {
  deps.log.warn('Container link lost', { environmentId: ref.id, teamId: ref.teamId, outcome })
  if (outcome === 'unclear') await deps.poster.close(connectionId)
  await changeLink(ref, (link) => (link.connectionId === connectionId ? disconnected(link) : link), deps)
}

/** Remembers the size for a container that is not connected, and tells one that is. A resize older than the last is dropped. */
export async function resize(
  ref: EnvironmentRef,
  size: { cols: number; rows: number; at: number },
  deps: InputDeps,
): Promise<void> {
  let isNewest = false
  let link = await changeLink(
    ref,
    (current) => {
      isNewest = (current.size?.at ?? 0) <= size.at
      return isNewest ? { ...current, size } : current
    },
    deps,
  )
  while (isNewest && link.connectionId !== undefined && link.size) {
    const told = link.size
    const { cols, rows } = told
    const outcome = await postToLink(link.connectionId, { type: 'resize', cols, rows }, deps)
    if (outcome !== 'sent') return
    // A newer size that was posted before this one would be undone by it: whoever posts last posts the newest.
    const now = await deps.links.get(ref)
    if (!now?.size || now.size.at === told.at) return
    link = now
  }
}

/** `not-connected`: the container has no link at the moment. */
export async function sendSignal(
  ref: EnvironmentRef,
  signal: AgentSignal,
  deps: InputDeps,
): Promise<'sent' | 'not-connected' | 'unreachable'> {
  const link = await deps.links.get(ref)
  if (link?.connectionId === undefined) return 'not-connected'
  const outcome = await postToLink(link.connectionId, { type: 'signal', signal }, deps)
  return outcome === 'sent' ? 'sent' : outcome === 'gone' ? 'not-connected' : 'unreachable'
}
