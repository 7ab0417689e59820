/** Who has worked in a team's workspace: workspace sync names them as co-authors of what it commits. */
import type { LedgerReader } from '../ledger/ports.ts'
import type { EnvironmentStore } from './ports.ts'
import { isFinal } from './transitions.ts'

export interface Author {
  readonly name: string
  readonly email: string
}

/** What one `authors` message of the link holds. */
const MAX_AUTHORS = 100
/** Pages of records, and entries of the ledger, that are looked through at most. */
const MAX_PAGES = 5
const PAGE = 100
const MAX_ENTRIES = 300

/** A name that says who it is, at a domain that no mail reaches (RFC 2606). */
export const agentEmail = (id: string): string => `${id}@agents.covibes.invalid`

/**
 * The agents that ran at any time since `since` (ISO 8601), newest first, at most 100; those that were deleted meanwhile are known from the
 * ledger's newest entries.
 */
export async function authorsSince(
  teamId: string,
  since: string,
  { environments, ledger }: { readonly environments: EnvironmentStore; readonly ledger: LedgerReader },
): Promise<Author[]> {
  const from = Date.parse(since)
  const found = new Map<string, string>()
  let cursor: string | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const { records, cursor: next } = await environments.listByTeam(teamId, 'agent', {
      limit: PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const { id, agent, status, startedAt, endedAt } of records) {
      const ran = startedAt !== undefined && (!isFinal(status) || Date.parse(endedAt ?? startedAt) >= from)
      if (ran) found.set(id, agent.agentName)
    }
    cursor = next
    if (cursor === undefined) break
  }
  const head = await ledger.head(teamId)
  for (const { at, environment } of await ledger.readAfter(teamId, Math.max(0, head - MAX_ENTRIES), MAX_ENTRIES)) {
    // Its last step in this time, or any other: it was there.
    const worked = environment?.type === 'agent' && (environment.from === 'running' || environment.from === 'stopping')
    if (worked && environment.name !== undefined && Date.parse(at) >= from) found.set(environment.id, environment.name)
  }
  return [...found].slice(0, MAX_AUTHORS).map(([id, name]) => ({ name, email: agentEmail(id) }))
}
