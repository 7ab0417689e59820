/** A control plane of one or more teams in memory: everything the realtime handlers need, and what tests do to it. */
import { randomBytes } from 'node:crypto'
import type { DomainEvent } from '../../../../shared/contracts/domain-events.ts'
import type { SyncReport } from '../../../../shared/contracts/link.ts'
import type { PreviewReport } from '../../../../shared/contracts/preview-link.ts'
import type { Work } from '../../../../shared/contracts/work.ts'
import type { Clock } from '../../../../shared/domain/clock.ts'
import type { LinkRef } from '../../../../shared/domain/environments/links.ts'
import type {
  AgentEnvironment,
  Environment,
  PreviewEnvironment,
  SyncEnvironment,
} from '../../../../shared/domain/environments/schema.ts'
import type { MessagePart } from '../../../../shared/domain/files/parts.ts'
import type { LedgerEntry } from '../../../../shared/domain/ledger/schema.ts'
import { EVERYTHING } from '../../../../shared/domain/realtime/batch.ts'
import { deliver } from '../../../../shared/domain/realtime/deliver.ts'
import { closeUnauthenticated, openSocket } from '../../../../shared/domain/realtime/engine.ts'
import { tellShare } from '../../../../shared/domain/realtime/fan-out.ts'
import type { ConnectionPoster, LinkMessageDeps, SocketDeps } from '../../../../shared/domain/realtime/ports.ts'
import { publishEntries } from '../../../../shared/domain/realtime/publishing.ts'
import type { ConnectDeps } from '../../../../shared/domain/realtime/websocket-events.ts'
import { environment, previewEnvironment, syncEnvironment } from '../../../support/environments.ts'
import { memoryLedger, memoryLinks, memorySessions, memoryTerminalLog, type Travel } from './memory.ts'

export interface WorldOptions {
  readonly clock: Clock
  readonly sleep: (ms: number) => Promise<void>
  readonly poster: ConnectionPoster
  readonly travel?: Travel
  readonly newId?: () => string
  /** How queued work is run; by default at once, in the background. */
  readonly queue?: (run: () => Promise<void>, delaySeconds: number) => void
}

export type World = ReturnType<typeof createWorld>

export function createWorld(options: WorldOptions) {
  const { clock, sleep, poster, travel } = options
  const sessions = memorySessions(travel)
  const links = memoryLinks(travel)
  const terminalLog = memoryTerminalLog(travel)
  const ledger = memoryLedger(travel)
  const records = new Map<string, Environment>()
  const logged: { level: string; message: string; fields: Record<string, unknown> }[] = []
  const facts: DomainEvent[] = []
  const work: Work[] = []
  const log = (level: string) => (message: string, fields: Record<string, unknown>) => {
    logged.push({ level, message, fields })
  }
  const fault: { verifyToken?: Error; eventBus?: Error; containerAction?: Error; previews?: Error } = {}
  const actions: Record<string, unknown>[] = []
  const reports: { ref: LinkRef; report: SyncReport; at: Date }[] = []
  const previewReports: { ref: LinkRef; report: PreviewReport; at: Date }[] = []
  const previewCalls: string[][] = []
  const git: { credential: Awaited<ReturnType<LinkMessageDeps['gitCredential']>> } = { credential: undefined }
  /** `<record>/<request>`, and what was answered. */
  const asked = new Set<string>()
  const answers: { id: string; part: MessagePart }[] = []

  const deps: SocketDeps & LinkMessageDeps & ConnectDeps = {
    clock,
    sleep,
    // Calls stand for execution environments of their own, some of which are killed with their places taken.
    gate: (run) => run(),
    poster,
    newId: options.newId ?? (() => randomBytes(18).toString('base64url')),
    log: { info: log('info'), warn: log('warn'), error: log('error') },
    sessions: sessions.store,
    links: links.store,
    terminalLog: terminalLog.store,
    ledger: ledger.store,
    outbox: ledger.store,
    chat: ledger.chat,
    environments: { get: async ({ teamId, id }) => records.get(`${teamId}/${id}`) },
    events: {
      async put(put) {
        if (fault.eventBus) throw fault.eventBus
        facts.push(...put)
      },
    },
    work: {
      async send(message, delaySeconds = 0) {
        work.push(message)
        const run = () => runWork(message)
        if (options.queue) options.queue(run, delaySeconds)
        else void sleep(delaySeconds * 1000).then(run)
      },
      sendAll: async (messages, delaySeconds) => {
        await Promise.all(messages.map((message) => deps.work.send(message, delaySeconds)))
      },
    },
    // Tokens of the tests: `<user>@<team>`.
    async verifyToken(token) {
      if (fault.verifyToken) throw fault.verifyToken
      const [userId, teamId, ...rest] = token.split('@')
      return userId && teamId && rest.length === 0 ? { userId, teamId } : undefined
    },
    memberName: async ({ userId }) => `name of ${userId}`,
    async containerAction(request, user) {
      if (fault.containerAction) throw fault.containerAction
      actions.push({ ...request, ...user })
    },
    admit: async (_ref, credential) => credential.kind === 'key',
    orders: async ({ teamId, id }: LinkRef) => {
      const record = records.get(`${teamId}/${id}`)
      if (!record) return { dismissed: 'the record is gone' }
      if (record.type === 'preview') return { preview: { branch: record.preview.branch, port: 5000 } }
      if (record.type === 'sync')
        return {
          sync: { purpose: record.sync.purpose, previews: ['main'] },
          repository: { url: 'https://git.example/team.git' },
        }
      return { agent: { program: 'mock', name: 'Ada', task: '' }, terminal: { cols: 80, rows: 24 } }
    },
    model: async () => undefined,
    recordExit: async () => [],
    recordHealth: async () => [],
    recordSyncReport: async (ref, report, at) => {
      reports.push({ ref, report, at })
      return []
    },
    recordPreviewReport: async (ref, report, at) => {
      previewReports.push({ ref, report, at })
      return []
    },
    previews: {
      async refresh(user) {
        if (fault.previews) throw fault.previews
        previewCalls.push(['refresh', user.teamId])
      },
      async status({ until }, branch) {
        if (fault.previews) throw fault.previews
        previewCalls.push(['status', branch, String(until)])
        return { branch, status: 'running', url: 'https://label.preview.example.com/__covibes/enter/ticket/' }
      },
      async stop(_user, branch, correlationId) {
        if (fault.previews) throw fault.previews
        previewCalls.push(['stop', branch, correlationId])
        return { branch, status: 'stopped' }
      },
    },
    gitCredential: async () => git.credential,
    allowLoopback: true,
    authorsSince: async () => [{ name: 'Ada', email: 'ada@agents.covibes.invalid' }],
    answers: {
      async put(ref, part) {
        if (!asked.has(`${ref.id}/${part.id}`)) return 'unknown'
        answers.push({ id: ref.id, part })
        return 'kept'
      },
    },
  }

  async function runWork(message: Work): Promise<void> {
    if (message.kind === 'open-socket') await openSocket(message, deps)
    if (message.kind === 'close-unauthenticated') await closeUnauthenticated(message, deps)
    if (message.kind === 'tell') await tellShare(message, deps)
    if (message.kind === 'deliver') await deliver(message.sid, EVERYTHING, deps, { retry: true })
  }

  let entries = 0
  return {
    deps,
    sessions,
    links,
    terminalLog,
    ledger,
    records,
    logged,
    facts,
    work,
    fault,
    actions,
    reports,
    previewReports,
    previewCalls,
    git,
    asked,
    answers,

    addSync(fields: Partial<SyncEnvironment> & { id: string }): Environment {
      const record = syncEnvironment({ status: 'running', ...fields })
      records.set(`${record.teamId}/${record.id}`, record)
      return record
    },

    addPreview(fields: Partial<PreviewEnvironment> & { id: string }): Environment {
      const record = previewEnvironment({ status: 'running', ...fields })
      records.set(`${record.teamId}/${record.id}`, record)
      return record
    },

    addAgent(fields: Partial<AgentEnvironment> & { id: string }): Environment {
      const record = environment({ status: 'running', ...fields })
      records.set(`${record.teamId}/${record.id}`, record)
      return record
    },

    /** Commits an entry that tells the team something; `publish` is left to the caller. */
    commit(teamId: string, message = `entry ${++entries}`): Promise<LedgerEntry> {
      return ledger.store.append({
        teamId,
        at: clock.now().toISOString(),
        actor: { kind: 'control-plane' },
        cause: 'test',
        correlationId: 'test',
        event: [
          'agent-status',
          { agentId: 'agent-1', status: 'running', message, timestamp: clock.now().toISOString() },
        ],
      })
    },

    async tell(teamId: string, message?: string): Promise<LedgerEntry> {
      const entry = await this.commit(teamId, message)
      await publishEntries([entry], deps)
      return entry
    },
  }
}
