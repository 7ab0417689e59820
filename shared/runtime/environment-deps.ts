/** What the functions of the team environments API are made of. */
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../adapters/dynamodb/ledger-store.ts'
import { createTeamStore } from '../adapters/dynamodb/team-store.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import type { Member } from '../domain/agents/ports.ts'
import type { StoryDeps } from '../domain/story/stories.ts'
import type { CreateDeps } from '../domain/teams/create.ts'
import type { TeamDeps, TeamRequest } from '../domain/teams/operations.ts'
import type { ViewDeps } from '../domain/teams/view.ts'
import { teamFlags } from './flag-deps.ts'
import { profilesOf } from './profile-deps.ts'
import { teamDeps } from './team-deps.ts'

export const viewDeps = ({ ENVIRONMENTS_TABLE }: { ENVIRONMENTS_TABLE: string }): ViewDeps => ({
  teams: createTeamStore(documentClient(), ENVIRONMENTS_TABLE),
  environments: createEnvironmentStore(documentClient(), ENVIRONMENTS_TABLE),
})

export const storyDeps = ({ ENVIRONMENTS_TABLE }: { ENVIRONMENTS_TABLE: string }): StoryDeps => ({
  ledger: createLedgerStore(documentClient(), ENVIRONMENTS_TABLE),
  environments: createEnvironmentStore(documentClient(), ENVIRONMENTS_TABLE),
})

export function createEnvironmentDeps(env: FunctionEnv<'create-environment'>): CreateDeps {
  return {
    ...teamDeps(env),
    flagsOf: teamFlags(env),
    profiles: profilesOf(env),
    allowLoopbackRepositories: env.ALLOW_LOOPBACK_REPOSITORIES === 'true',
  }
}

/** A member's request about the own team; the ledger needs no more of the member than the id. */
export const requestOf = ({ teamId, userId }: Omit<Member, 'token'>, correlationId: string): TeamRequest => ({
  teamId,
  by: { userId, userName: userId },
  correlationId,
})

export function internalDeps(env: FunctionEnv<'remove-team'>): TeamDeps & { readonly secret: () => Promise<string> } {
  const secrets = createSecrets({ internalApiSecretId: env.INTERNAL_API_SECRET_ID })
  return { ...teamDeps(env), secret: () => secrets.internalApiSecret() }
}
