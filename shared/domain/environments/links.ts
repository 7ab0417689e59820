/** What a container may ask of its record over the link. The link's credential is checked by `admitLink` at connect. */

import { DEFAULT_TERMINAL } from '../../contracts/limits.ts'
import type { LinkDown, SyncReport } from '../../contracts/link.ts'
import type { PreviewReport, WelcomePreview } from '../../contracts/preview-link.ts'
import type { Clock } from '../clock.ts'
import type { LedgerEntry } from '../ledger/schema.ts'
import type { PreviewOwner } from '../previews/record.ts'
import { type PreviewTrees, previewTrees } from '../previews/trees.ts'
import type { EnvironmentEvent } from './events.ts'
import type { EnvironmentStore } from './ports.ts'
import type { Environment, EnvironmentRef } from './schema.ts'
import { applyEvent } from './state-machine.ts'
import { isFinal } from './transitions.ts'

export type LinkRef = EnvironmentRef & { readonly generation: number }
/** Hex SHA-256 of what the container shows: the ticket with the hash of its own key, or that key. */
export type LinkCredential =
  | { readonly kind: 'ticket'; readonly ticketHash: string; readonly keyHash: string }
  | { readonly kind: 'key'; readonly keyHash: string }
/** An agent's; the model key and where its log stands are the caller's to add. */
export type AgentOrders = Omit<Extract<LinkDown, { type: 'welcome' }>, 'type' | 'acknowledged' | 'model'>
/** Workspace sync's; the credential and what addresses it may reach are the caller's to add. */
export type SyncOrders = {
  readonly sync: { readonly purpose: 'sync' | 'erase'; readonly previews: PreviewTrees }
  readonly repository?: { readonly url: string }
}
/** A preview's; where its log stands is the caller's to add. */
export type PreviewOrders = { readonly preview: Pick<WelcomePreview, 'branch' | 'port'> }
export type LinkOrders = AgentOrders | SyncOrders | PreviewOrders
type Team = PreviewOwner & { readonly repositoryUrl: string | null }
export interface LinkDeps {
  readonly environments: EnvironmentStore
  readonly clock: Clock
}

const wantsLink = (record: Environment | undefined, ref: LinkRef): record is Environment =>
  record !== undefined && record.generation === ref.generation && !isFinal(record.status)

/**
 * Lets a container in: by its ticket exactly once and within its time (the write that takes the ticket off the record
 * decides), afterwards by the key it named then. A final record, another generation or a used ticket is refused.
 */
export async function admitLink(
  ref: LinkRef,
  credential: LinkCredential,
  { environments, clock }: LinkDeps,
): Promise<boolean> {
  if (credential.kind === 'key') {
    const record = await environments.get(ref)
    return wantsLink(record, ref) && record.linkKeyHash === credential.keyHash
  }
  let admitted = false
  await environments.change(ref, (record) => {
    const now = clock.now()
    admitted =
      wantsLink(record, ref) &&
      record.ticket !== undefined &&
      record.ticket.hash === credential.ticketHash &&
      record.ticket.expiresAt > now.getTime()
    return admitted
      ? applyEvent(
          record,
          { type: 'ticket-used', keyHash: credential.keyHash },
          { now, correlationId: record.correlationId },
        )
      : undefined
  })
  return admitted
}

/** What the container is to do, or why there is nothing for it to do any more. */
export async function linkOrders(
  ref: LinkRef,
  { environments, teams }: LinkDeps & { readonly teams: { get(teamId: string): Promise<Team | undefined> } },
): Promise<LinkOrders | { dismissed: string }> {
  const record = await environments.get(ref)
  if (!wantsLink(record, ref)) return { dismissed: 'the record has ended or is gone' }
  if (record.type === 'sync') {
    // The team's repository as it is now: the record's is that of its creation.
    const team = await teams.get(ref.teamId)
    const url = team?.repositoryUrl
    const { purpose } = record.sync
    const previews = team && purpose === 'sync' ? await previewTrees(team, { environments }) : []
    return { sync: { purpose, previews }, ...(url ? { repository: { url } } : {}) }
  }
  if (record.type === 'preview') {
    const { branch, port } = record.preview
    if (port === undefined) throw new Error(`the live preview ${record.id} holds no port`)
    return { preview: { branch, port } }
  }
  const { agentType, agentName, task } = record.agent
  return {
    agent: { program: agentType === 'mock' ? 'mock' : 'claude', name: agentName, task },
    ...(record.repositoryUrl ? { repository: { url: record.repositoryUrl } } : {}),
    terminal: { ...DEFAULT_TERMINAL },
  }
}

async function report(
  ref: LinkRef,
  event: EnvironmentEvent,
  { environments, clock }: LinkDeps,
): Promise<LedgerEntry[]> {
  const done = await environments.change(ref, (record) =>
    record.generation === ref.generation
      ? applyEvent(record, event, { now: clock.now(), correlationId: record.correlationId })
      : undefined,
  )
  return done?.entry ? [done.entry] : []
}

/** Keeps what the container says of its program's end; the end itself is ECS's to tell. Answers the entries to publish. */
export const recordExit = (
  ref: LinkRef,
  exit: { exitCode: number; signal?: string | undefined; reason?: string | undefined },
  deps: LinkDeps,
): Promise<LedgerEntry[]> => report(ref, { type: 'exit-reported', exit }, deps)

/** Keeps a change of the container's health. Answers the entries to publish. */
export const recordHealth = (
  ref: LinkRef,
  health: { status: 'healthy' | 'unhealthy'; detail?: string | undefined },
  deps: LinkDeps,
): Promise<LedgerEntry[]> => report(ref, { type: 'health-reported', ...health }, deps)

/**
 * Keeps what workspace sync says of the team's repository; trouble, its end and branches that were made for what could not be merged
 * are told in the chat as well. `at`: when the gateway received it. Answers the entries to publish. An agent's record takes none.
 */
export const recordSyncReport = (ref: LinkRef, sync: SyncReport, at: Date, deps: LinkDeps): Promise<LedgerEntry[]> =>
  report(ref, { type: 'sync-reported', report: sync, at }, deps)

/** Keeps how far a preview is, as its container says; `at`: when the gateway received it. Any other record takes none. */
export const recordPreviewReport = (
  ref: LinkRef,
  preview: PreviewReport,
  at: Date,
  deps: LinkDeps,
): Promise<LedgerEntry[]> => report(ref, { type: 'preview-reported', report: preview, at }, deps)
