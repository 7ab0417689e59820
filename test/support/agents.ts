/** The agents' operations on real stores, with a team of its own, a profile, flags and an `ssh` backend that tests set. */
import { createEnvironmentStore } from '../../shared/adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../../shared/adapters/dynamodb/ledger-store.ts'
import { createTeamStore } from '../../shared/adapters/dynamodb/team-store.ts'
import { SpawnAgentBodySchema } from '../../shared/contracts/agents.ts'
import type { Work } from '../../shared/contracts/work.ts'
import type { SshBackend } from '../../shared/domain/agents/backend-port.ts'
import type { Member } from '../../shared/domain/agents/ports.ts'
import { type SpawnDeps, spawnAgent } from '../../shared/domain/agents/spawn.ts'
import { stageDefaults } from '../../shared/domain/flags/flags.ts'
import type { Flags } from '../../shared/domain/flags/schema.ts'
import type { LedgerEntry } from '../../shared/domain/ledger/schema.ts'
import { profileFromIds } from '../../shared/domain/profiles/profiles.ts'
import type { Profile } from '../../shared/domain/profiles/schema.ts'
import { fixedClock } from './environments.ts'
import type { startTables } from './local-tables.ts'

let teams = 0

/** Every method throws unless a test gives it: a team on containers must never ask the existing server. */
const noSsh = new Proxy({} as SshBackend, {
  get: (_, method) => async () => {
    throw new Error(`the existing server was asked: ${String(method)}`)
  },
})

export function agentsOf(tables: Awaited<ReturnType<typeof startTables>>, ssh: Partial<SshBackend> = {}) {
  const teamId = `agents-team-${++teams}`
  const member: Member = { userId: 'user-1', teamId, token: 'token-1' }
  const work: Work[] = []
  const published: LedgerEntry[] = []
  const warnings: string[] = []
  const state = {
    flags: stageDefaults(true) as Flags,
    profile: profileFromIds(member) as Profile,
    queueFails: false,
    ids: 0,
  }
  const deps = {
    environments: createEnvironmentStore(tables.client, 'environments'),
    ledger: createLedgerStore(tables.client, 'environments'),
    teams: createTeamStore(tables.client, 'environments'),
    allowLoopbackRepositories: false,
    ssh: new Proxy(noSsh, { get: (target, method) => Reflect.get(method in ssh ? ssh : target, method) }),
    flagsOf: async () => state.flags,
    profiles: { of: async () => state.profile },
    clock: fixedClock,
    publish: async (entries: readonly LedgerEntry[]) => void published.push(...entries),
    queue: {
      async send(message: Work) {
        if (state.queueFails) throw new Error('SQS is away')
        work.push(message)
      },
    },
    warn: (message: string) => void warnings.push(message),
    newId: () => `0198c0de-0000-7000-8000-${String(++state.ids).padStart(12, '0')}`,
    random: () => 0.5,
  } satisfies SpawnDeps & { ledger: unknown }
  return {
    teamId,
    member,
    work,
    published,
    warnings,
    state,
    deps,
    events: () => published.flatMap(({ event }) => (event ? [event[0]] : [])),
    spawn: (body: unknown = {}, idempotencyKey?: string, by: Member = member) =>
      spawnAgent({ body: SpawnAgentBodySchema.parse(body), member: by, idempotencyKey, correlationId: 'c-1' }, deps),
  }
}
