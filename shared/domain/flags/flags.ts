import type { Backend } from '../../contracts/agents.ts'
import { DEFAULT_TEAM_AGENT_SLOTS, DEFAULT_TEAM_TASK_LIMIT } from '../../contracts/limits.ts'
import type { FlagLog, FlagStore, Flags, RawFlags } from './ports.ts'
import { ALL_TEAMS, type FlagField, flagFields, type TeamFlags, teamScope } from './schema.ts'

export interface FlagDeps {
  readonly store: FlagStore
  readonly stageDefault: TeamFlags
  readonly log: FlagLog
}

/** What counts when neither item says anything; whether containers are used at all is the stage's choice (USE_DOCKER_AGENTS). */
export const stageDefaults = (useDockerAgents: boolean): TeamFlags => ({
  useDockerAgents,
  agentSlots: DEFAULT_TEAM_AGENT_SLOTS,
  maxTaskSize: DEFAULT_TEAM_TASK_LIMIT,
})

export function createFlags({ store, stageDefault, log }: FlagDeps): Flags {
  return {
    async of(teamId) {
      const { team, all } = await store.read(teamId)
      const levels = [
        { scope: teamScope(teamId), item: team },
        { scope: ALL_TEAMS, item: all },
      ]
      const pick = <F extends FlagField>(field: F): TeamFlags[F] => {
        for (const { scope, item } of levels) {
          const value = parseField(field, scope, item, log)
          if (value !== undefined) return value
        }
        return stageDefault[field]
      }
      return {
        useDockerAgents: pick('useDockerAgents'),
        agentSlots: pick('agentSlots'),
        maxTaskSize: pick('maxTaskSize'),
      }
    },
  }
}

function parseField<F extends FlagField>(
  field: F,
  scope: string,
  item: RawFlags,
  log: FlagLog,
): TeamFlags[F] | undefined {
  const given = item?.[field]
  if (given === undefined || given === null) return undefined
  const parsed = flagFields[field].safeParse(given)
  if (parsed.success) return parsed.data as TeamFlags[F]
  const problem = parsed.error.issues.map((issue) => [...issue.path, issue.message].join(': ')).join('; ')
  log.warn('Flag ignored: its value does not parse', { scope, field, problem })
  return undefined
}

/** Where a new agent of this team runs. */
export const backendFor = (flags: Pick<TeamFlags, 'useDockerAgents'>): Backend =>
  flags.useDockerAgents ? 'docker' : 'ssh'
