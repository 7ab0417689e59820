import type * as z from 'zod'
import type { CreateEnvironmentBodySchema } from '../../contracts/environments.ts'
import type { Member } from '../agents/ports.ts'
import { Conflict } from '../errors.ts'
import type { Flags } from '../flags/schema.ts'
import type { Profiles } from '../profiles/ports.ts'
import { ensureTeamEnvironment, type TeamDeps } from './operations.ts'
import { ofOwnTeam } from './own-team.ts'
import { checkRepository, teamRepository } from './repository.ts'

export interface CreateDeps extends TeamDeps {
  readonly flagsOf: (teamId: string) => Promise<Flags>
  readonly profiles: Profiles
  /** Whether repositories on this machine's own addresses are allowed: the one-machine runtime. */
  readonly allowLoopbackRepositories: boolean
}

/**
 * The integration guide's `createTeamEnvironment`: the team's environment with workspace sync on its way. Answers before anything
 * runs, and again when it is there already.
 *
 * @throws Forbidden for another team's id, BadRequest for a repository that cannot be used, Conflict for another repository than
 * the team's, while the environment is being removed, and for a team that does not use containers.
 */
export async function createEnvironment(
  {
    body,
    member,
    correlationId,
  }: {
    readonly body: z.infer<typeof CreateEnvironmentBodySchema>
    readonly member: Member
    readonly correlationId: string
  },
  deps: CreateDeps,
): Promise<{ created: boolean }> {
  const { teamId, userId, token } = member
  if (body.teamId !== undefined) ofOwnTeam(body.teamId, member)
  const [flags, profile] = await Promise.all([deps.flagsOf(teamId), deps.profiles.of(member, token)])
  if (!flags.useDockerAgents)
    throw new Conflict('Your team does not use containers; its agents run on the Covibes server')
  const repository = teamRepository(body.repositoryUrl ?? null, profile)
  if (repository.url !== null) checkRepository(repository.url, deps.allowLoopbackRepositories)
  const by = { userId, userName: profile.userName }
  const { created } = await ensureTeamEnvironment({ teamId, by, correlationId, repository }, deps)
  return { created }
}
