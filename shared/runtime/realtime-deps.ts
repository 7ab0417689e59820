/** What the realtime functions are made of, from the variables their capabilities bring. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAnswerStore } from '../adapters/dynamodb/answer-store.ts'
import { createChatStore } from '../adapters/dynamodb/chat-store.ts'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../adapters/dynamodb/ledger-store.ts'
import { createLinkStore } from '../adapters/dynamodb/link-store.ts'
import { createSessionStore } from '../adapters/dynamodb/session-store.ts'
import { createTeamStore } from '../adapters/dynamodb/team-store.ts'
import { createTerminalLogStore } from '../adapters/dynamodb/terminal-log-store.ts'
import { createEventBus } from '../adapters/eventbridge/event-bus.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import { createWorkQueue } from '../adapters/sqs/work-queue.ts'
import { createConnectionPoster } from '../adapters/websocket/connection-poster.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import type { AgentTerminal } from '../domain/agents/ports.ts'
import { systemClock } from '../domain/clock.ts'
import { authorsSince } from '../domain/environments/authors.ts'
import {
  admitLink,
  linkOrders,
  recordExit,
  recordHealth,
  recordPreviewReport,
  recordSyncReport,
} from '../domain/environments/links.ts'
import { FAN_OUT } from '../domain/realtime/limits.ts'
import { sendInput, sendSignal } from '../domain/realtime/link-input.ts'
import { createGate } from '../domain/realtime/parallel.ts'
import type { PingDeps } from '../domain/realtime/pings.ts'
import type { DeliveryDeps, InputDeps, LinkMessageDeps, Log, PublishDeps } from '../domain/realtime/ports.ts'
import type { Publish } from '../domain/realtime/publish.ts'
import { createPublish } from '../domain/realtime/publishing.ts'
import type { ConnectDeps } from '../domain/realtime/websocket-events.ts'
import type { TerminalLogReader } from '../domain/terminal/ports.ts'
import { parseGitCredential } from './git-credential.ts'
import { logger } from './logger.ts'

/** Bytes of a random id: 144 bits, 24 characters of base64url. */
const ID_BYTES = 18

const log: Log = {
  info: (message, fields) => logger.info(message, fields),
  warn: (message, fields) => logger.warn(message, fields),
  error: (message, fields) => logger.error(message, fields),
}

export const newRandomId = (): string => randomBytes(ID_BYTES).toString('base64url')

const base = {
  clock: systemClock,
  log,
  newId: newRandomId,
  sleep: (ms: number) => sleep(ms),
  gate: createGate(FAN_OUT),
} as const

const sessionsOf = ({ CONNECTIONS_TABLE }: { CONNECTIONS_TABLE: string }) =>
  createSessionStore(documentClient(), CONNECTIONS_TABLE)
const linksOf = ({ CONNECTIONS_TABLE }: { CONNECTIONS_TABLE: string }) =>
  createLinkStore(documentClient(), CONNECTIONS_TABLE)

/** The variables of everything that delivers. */
type DeliveryEnv = FunctionEnv<'poll-socket'>

export function deliveryDeps(env: DeliveryEnv): DeliveryDeps {
  return {
    ...base,
    sessions: sessionsOf(env),
    ledger: createLedgerStore(documentClient(), env.ENVIRONMENTS_TABLE),
    terminalLog: createTerminalLogStore(documentClient(), env.TERMINAL_LOG_TABLE),
    chat: createChatStore(documentClient(), env.ENVIRONMENTS_TABLE),
    poster: createConnectionPoster(env.WEBSOCKET_ENDPOINT, log),
    work: createWorkQueue(env.WORK_QUEUE_URL),
  }
}

export function publishDeps(env: DeliveryEnv): PublishDeps {
  return {
    ...deliveryDeps(env),
    outbox: createLedgerStore(documentClient(), env.ENVIRONMENTS_TABLE),
    events: createEventBus(env.EVENT_BUS_NAME),
  }
}

/** `publish` for every function that commits ledger entries. */
export const publisher = (env: DeliveryEnv): Publish => createPublish(publishDeps(env))

export function inputDeps(env: FunctionEnv<'send-agent-input'>): InputDeps {
  return {
    ...base,
    links: linksOf(env),
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE),
    poster: createConnectionPoster(env.WEBSOCKET_ENDPOINT, log),
  }
}

/** Telling a container something that waits for no answer. */
export const linkPosting = (env: DeliveryEnv): Pick<InputDeps, 'links' | 'poster' | 'sleep'> => ({
  links: linksOf(env),
  poster: createConnectionPoster(env.WEBSOCKET_ENDPOINT, log),
  sleep: base.sleep,
})

/** An agent's terminal for the HTTP API. Held input counts as sent: it reaches the program when it has started. */
export function agentTerminal(env: FunctionEnv<'send-agent-input'>): AgentTerminal {
  const deps = inputDeps(env)
  return {
    async input(ref, data, receivedAt) {
      const outcome = await sendInput(ref, { id: base.newId(), at: receivedAt, data }, deps)
      return outcome === 'sent' || outcome === 'held' ? 'sent' : 'not-connected'
    },
    async signal(ref, signal) {
      return (await sendSignal(ref, signal, deps)) === 'sent' ? 'sent' : 'not-connected'
    },
  }
}

export const terminalLogReader = ({ TERMINAL_LOG_TABLE }: { TERMINAL_LOG_TABLE: string }): TerminalLogReader =>
  createTerminalLogStore(documentClient(), TERMINAL_LOG_TABLE)

export function connectDeps(env: FunctionEnv<'on-connect'>): ConnectDeps {
  const environments = createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE)
  return {
    ...base,
    sessions: sessionsOf(env),
    work: createWorkQueue(env.WORK_QUEUE_URL),
    admit: (ref, credential) => admitLink(ref, credential, { environments, clock: systemClock }),
  }
}

export const disconnectDeps = (env: FunctionEnv<'on-disconnect'>) => ({
  ...base,
  sessions: sessionsOf(env),
  links: linksOf(env),
})

export const pingDeps = (env: FunctionEnv<'ping-connections'>): PingDeps => ({
  ...base,
  sessions: sessionsOf(env),
  poster: createConnectionPoster(env.WEBSOCKET_ENDPOINT, log),
})

export function linkDeps(env: FunctionEnv<'on-link-message'>): LinkMessageDeps {
  const environments = createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE, env.PREVIEWS_TABLE)
  const secrets = createSecrets({ teamSecretsPrefix: env.TEAM_SECRETS_PREFIX })
  const records = { environments, clock: systemClock }
  const teams = createTeamStore(documentClient(), env.ENVIRONMENTS_TABLE)
  const delivery = publishDeps(env)
  return {
    ...delivery,
    terminalLog: createTerminalLogStore(documentClient(), env.TERMINAL_LOG_TABLE),
    links: linksOf(env),
    environments,
    orders: (ref) => linkOrders(ref, { ...records, teams }),
    async model(teamId) {
      const apiKey = await secrets.teamModelKey(teamId)
      if (apiKey === undefined) return undefined
      return { apiKey, ...(env.MODEL_BASE_URL === undefined ? {} : { baseUrl: env.MODEL_BASE_URL }) }
    },
    recordExit: (ref, exit) => recordExit(ref, exit, records),
    recordHealth: (ref, health) => recordHealth(ref, health, records),
    recordSyncReport: (ref, report, at) => recordSyncReport(ref, report, at, records),
    recordPreviewReport: (ref, report, at) => recordPreviewReport(ref, report, at, records),
    async gitCredential(teamId) {
      const stored = await secrets.teamGitCredentials(teamId)
      return stored === undefined ? undefined : parseGitCredential(stored)
    },
    allowLoopback: env.ALLOW_LOOPBACK_REPOSITORIES === 'true',
    authorsSince: (teamId, since) => authorsSince(teamId, since, { environments, ledger: delivery.ledger }),
    answers: createAnswerStore(documentClient(), env.CONNECTIONS_TABLE),
  }
}
