/** What the delivery module needs of the world, in its own words. */

import type { DomainEvent } from '../../contracts/domain-events.ts'
import type { GitCredential, LinkDown, SyncReport } from '../../contracts/link.ts'
import type { PreviewBranch, PreviewReport } from '../../contracts/preview-link.ts'
import type { ClientEvent, ServerEventPayload } from '../../contracts/socket-events.ts'
import type { Work } from '../../contracts/work.ts'
import type { ChatHistory, ChatWriter } from '../chat/ports.ts'
import type { Clock } from '../clock.ts'
import type { Author } from '../environments/authors.ts'
import type { LinkOrders, LinkRef } from '../environments/links.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { EnvironmentRef } from '../environments/schema.ts'
import type { AnswerStore } from '../files/answers.ts'
import type { LedgerReader, Outbox } from '../ledger/ports.ts'
import type { LedgerEntry } from '../ledger/schema.ts'
import type { TerminalLogReader, TerminalLogStore } from '../terminal/ports.ts'
import type { Link } from './link-state.ts'
import type { Gate } from './parallel.ts'
import type { Session, User } from './session.ts'

/** Whom a change concerns. */
export type Room =
  | { readonly kind: 'team'; readonly teamId: string }
  | { readonly kind: 'terminal'; readonly teamId: string; readonly agentId: string }

/** Containers with a link; each kind has messages that no other may send. */
export const LINKED_CONTAINERS = ['agent', 'preview', 'sync'] as const
export type LinkedContainer = (typeof LINKED_CONTAINERS)[number]

/**
 * What a WebSocket connection is: a client's session, or a container's link, since its welcome with what kind of container that is
 * and, for an agent, its generation's place in the log.
 */
export type Connection =
  | { readonly kind: 'socket'; readonly sid: string }
  | {
      readonly kind: 'link'
      readonly ref: LinkRef
      readonly container?: LinkedContainer | undefined
      readonly base?: number | undefined
    }

export type SessionRange = Extract<Work, { kind: 'tell' }>['sessions']

/** All reads but `pingable` are strongly consistent. */
export interface SessionStore {
  create(session: Session): Promise<void>
  get(sid: string): Promise<Session | undefined>
  /** Those of at most 100 sessions that could be read at once, by sid. What is not among them may be there all the same. */
  getMany(sids: readonly string[]): Promise<ReadonlyMap<string, Session>>
  /** Writes it with the next revision if the stored one is still `session.revision`; false: somebody was first, or it is gone. */
  put(session: Session): Promise<boolean>

  enter(room: Room, sid: string, expiresAt: number): Promise<void>
  leave(room: Room, sid: string): Promise<void>
  /** A page in the order of the ids; with `range` only ids that begin with `from`, with `to`, or lie between. */
  members(room: Room, cursor?: string, range?: SessionRange): Promise<{ sids: string[]; cursor?: string }>

  /** Rows stay until they expire: a message may be handled after its connection's end. */
  bind(connectionId: string, connection: Connection, expiresAt: number): Promise<void>
  connection(connectionId: string): Promise<Connection | undefined>

  /** A page of the open WebSockets of a shard; eventually consistent. */
  pingable(
    shard: number,
    cursor?: string,
  ): Promise<{ connections: { connectionId: string; sid: string }[]; cursor?: string }>
}

/** One item per record: where its container is reached, and what waits for it. */
export interface LinkStore {
  get(ref: EnvironmentRef): Promise<Link | undefined>
  /** Writes it with the next revision if the stored one is still `link.revision` (0: there is none); false otherwise. */
  put(ref: EnvironmentRef, link: Link): Promise<boolean>
}

/**
 * The WebSocket API's posts. `full`: 429, nothing was sent. `unclear`: it may or may not have been sent (time-out, 5xx).
 * Never tried again inside: a repeated unclear post would double. Throws only what is a fault of ours (403, 413).
 */
export interface ConnectionPoster {
  post(connectionId: string, text: string): Promise<'sent' | 'gone' | 'full' | 'unclear'>
  /** Closes the connection if it is there. Failures are logged inside: the client's ping timeout does it later. */
  close(connectionId: string): Promise<void>
}

export interface WorkSender {
  send(work: Work, delaySeconds?: number): Promise<void>
  /** Throws unless every message was taken. */
  sendAll(work: readonly Work[], delaySeconds?: number): Promise<void>
}

/** The member of a token, or undefined for a bad one. Throws when it cannot tell: that must not look like a bad token. */
export type VerifyToken = (token: string) => Promise<User | undefined>

/** The member's name as the others see it. Never throws and never takes long: it is the user's id when nobody can tell. */
export type MemberName = (user: User, token: string) => Promise<string>

/** Starts, stops or restarts a container of the member's team. @throws AppError when it is refused */
export type ContainerAction = (
  request: ClientEvent<'container_action'>,
  user: User,
  correlationId: string,
) => Promise<void>

/** What the socket's events about previews come to. Each may throw an AppError, which the client is told. */
export interface PreviewEvents {
  /** Asks workspace sync to look at the repository. */
  refresh(user: User): Promise<void>
  /**
   * With an address for this member when there is something to see and their token is still good. `until`: its end, in milliseconds since
   * the epoch.
   */
  status(
    member: { readonly user: User; readonly until: number },
    branch: PreviewBranch,
  ): Promise<ServerEventPayload<'preview-status-update'>>
  stop(user: User, branch: PreviewBranch, correlationId: string): Promise<ServerEventPayload<'preview-status-update'>>
}

export interface EventBus {
  /** Throws unless every fact was taken. */
  put(facts: DomainEvent[]): Promise<void>
}

/** A static message with fields beside it. */
export interface Log {
  info(message: string, fields: Record<string, unknown>): void
  warn(message: string, fields: Record<string, unknown>): void
  error(message: string, fields: Record<string, unknown>): void
}

/** When and by which request a packet came; `at` is the gateway's receive time in ms since the epoch, with fractions for packets of one request. */
export interface Received {
  readonly at: number
  readonly requestId: string
}

/** What delivering to sessions takes. */
export interface DeliveryDeps {
  readonly sessions: SessionStore
  readonly ledger: LedgerReader
  readonly terminalLog: TerminalLogReader
  readonly chat: ChatHistory
  readonly poster: ConnectionPoster
  readonly work: WorkSender
  readonly clock: Clock
  /** Unguessable and unique, at least 120 bits. */
  readonly newId: () => string
  readonly sleep: (ms: number) => Promise<void>
  /** The execution environment's places for deliveries to rooms. */
  readonly gate: Gate
  readonly log: Log
}

export interface PublishDeps extends DeliveryDeps {
  readonly outbox: Outbox
  readonly events: EventBus
}

export interface InputDeps {
  readonly links: LinkStore
  readonly environments: Pick<EnvironmentStore, 'get'>
  readonly poster: ConnectionPoster
  readonly clock: Clock
  readonly sleep: (ms: number) => Promise<void>
  readonly log: Log
}

/** What the Socket.IO side takes beside delivery. */
export interface SocketDeps extends PublishDeps, InputDeps {
  readonly sessions: SessionStore
  readonly chat: ChatHistory & ChatWriter
  readonly verifyToken: VerifyToken
  readonly memberName: MemberName
  readonly containerAction: ContainerAction
  readonly previews: PreviewEvents
}

/** What the containers' side takes. */
export interface LinkMessageDeps extends PublishDeps, InputDeps {
  readonly sessions: SessionStore
  readonly terminalLog: TerminalLogStore
  readonly orders: (ref: LinkRef) => Promise<LinkOrders | { dismissed: string }>
  readonly model: (teamId: string) => Promise<Extract<LinkDown, { type: 'welcome' }>['model']>
  readonly recordExit: (
    ref: LinkRef,
    exit: { exitCode: number; signal?: string | undefined; reason?: string | undefined },
  ) => Promise<LedgerEntry[]>
  readonly recordHealth: (
    ref: LinkRef,
    health: { status: 'healthy' | 'unhealthy'; detail?: string | undefined },
  ) => Promise<LedgerEntry[]>
  /** `at`: when the gateway received it. */
  readonly recordSyncReport: (ref: LinkRef, report: SyncReport, at: Date) => Promise<LedgerEntry[]>
  /** `at`: when the gateway received it. */
  readonly recordPreviewReport: (ref: LinkRef, report: PreviewReport, at: Date) => Promise<LedgerEntry[]>
  /** Undefined: the team has stored none. `unusable`: what it has stored cannot be read, in words that repeat nothing of it. */
  readonly gitCredential: (
    teamId: string,
  ) => Promise<{ readonly credential: GitCredential } | { readonly unusable: string } | undefined>
  /** Whether addresses of this machine may be repositories. */
  readonly allowLoopback: boolean
  /** `since` in ISO 8601. */
  readonly authorsSince: (teamId: string, since: string) => Promise<Author[]>
  readonly answers: Pick<AnswerStore, 'put'>
}
