import type { Backend } from '../../contracts/agents.ts'
import { DEFAULT_TEAM_AGENT_SLOTS, DEFAULT_TEAM_TASK_LIMIT } from '../../contracts/limits.ts'
import type { FlagLog, FlagStore, RawFlags } from './ports.ts'
import { ALL_TEAMS, type FlagField, type Flags, flagFields, teamScope } from './schema.ts'

export interface FlagDeps {
  readonly flags: FlagStore
  readonly stageDefault: Flags
  readonly log: FlagLog
}

/** What counts when neither item says anything; whether containers are used at all is the stage's choice (USE_DOCKER_AGENTS). */
export const stageDefaults = (useDockerAgents: boolean): Flags => ({
  useDockerAgents,
  agentSlots: DEFAULT_TEAM_AGENT_SLOTS,
  maxTaskSize: DEFAULT_TEAM_TASK_LIMIT,
})

/**
 * The team's flags as they are now: field by field the team's item, else the item for all, else the stage's default. Read once
 * a request, so that one request sees one set. @throws when the table cannot be read: a guess could start containers for a
 * team that has them switched off.
 */
export async function flagsOf(teamId: string, deps: FlagDeps): Promise<Flags> {
  const { team, all } = await deps.flags.read(teamId)
  const levels = [
    { scope: teamScope(teamId), item: team },
    { scope: ALL_TEAMS, item: all },
  ]
  const pick = <F extends FlagField>(field: F): Flags[F] => {
    for (const { scope, item } of levels) {
      const value = parseField(field, scope, item, deps.log)
      if (value !== undefined) return value
    }
    return deps.stageDefault[field]
  }
  return { useDockerAgents: pick('useDockerAgents'), agentSlots: pick('agentSlots'), maxTaskSize: pick('maxTaskSize') }
}

function parseField<F extends FlagField>(field: F, scope: string, item: RawFlags, log: FlagLog): Flags[F] | undefined {
  const given = item?.[field]
  if (given === undefined || given === null) return undefined
  const parsed = flagFields[field].safeParse(given)
  if (parsed.success) return parsed.data as Flags[F]
  const problem = parsed.error.issues.map((issue) => [...issue.path, issue.message].join(': ')).join('; ')
  log.warn('Flag ignored: its value does not parse', { scope, field, problem })
  return undefined
}

/** Where a new agent of this team runs. */
export const backendFor = (flags: Pick<Flags, 'useDockerAgents'>): Backend => (flags.useDockerAgents ? 'docker' : 'ssh')
