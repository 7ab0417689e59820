import type { LinkUp } from '../../../shared/contracts/link.ts'
import { MAX_REASON } from './goodbye.ts'
import type { Health } from './status-server.ts'

/** What a container's health is judged by: a `LinkClient`. */
export type LinkReading = {
  readonly state: string
  readonly downForMs: number
  readonly lastProblem: string | undefined
}

/** Unhealthy when the link has been down for longer than `patienceMs` milliseconds, and why; undefined when there is nothing to say. */
export function linkTrouble({ downForMs, lastProblem }: LinkReading, patienceMs: number): Health | undefined {
  if (downForMs <= patienceMs) return undefined
  const why = lastProblem ? `: ${lastProblem}` : ''
  return { status: 'unhealthy', detail: `The link is down for ${Math.round(downForMs / 1000)} s${why}` }
}

/** The link's part of a container's status page. */
export const linkStatus = ({ state, downForMs, lastProblem }: LinkReading) => ({
  state,
  downForMs: Math.round(downForMs),
  lastProblem,
})

/** Health as the control plane is told. */
export const healthMessage = ({ status, detail }: Health): Extract<LinkUp, { type: 'health' }> => ({
  action: 'link',
  type: 'health',
  status,
  ...(detail === undefined ? {} : { detail: detail.slice(0, MAX_REASON) }),
})
