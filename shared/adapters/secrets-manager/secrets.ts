import { GetSecretValueCommand, ResourceNotFoundException, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { TEAM_SECRETS } from '../../contracts/team-resources.ts'
import { TeamIdSchema } from '../../domain/actor.ts'
import { type Clock, systemClock } from '../../domain/clock.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

/** Milliseconds a value counts: how late a rotated secret is noticed. */
const FRESH_MS = 5 * 60_000
/** Milliseconds a refused refresh leaves the last value in use: the API must not fall over with Secrets Manager. */
const STALE_MS = 60 * 60_000
/** Milliseconds "there is no such secret" counts: a team that has just stored its key does not wait long. */
const ABSENT_MS = 30_000
/** Secrets kept in memory; the oldest goes first. */
const MAX_CACHED = 500

export interface Secrets {
  /** The existing server's JWT_SECRET. @throws when it is absent, empty or cannot be read. */
  jwtSecret(): Promise<string>
  /** What link tickets are derived from. @throws when it is absent, empty or cannot be read. */
  linkSecret(): Promise<string>
  /** The team's own model key, undefined when it has stored none. @throws for a team id that is not one, and when unreadable. */
  teamModelKey(teamId: string): Promise<string | undefined>
  /**
   * What the team's repository is shown, as the JSON it was stored as; undefined when there is none. For workspace sync only.
   * @throws for a team id that is not one, and when unreadable.
   */
  teamGitCredentials(teamId: string): Promise<string | undefined>
  /** What tickets of previews are signed with. @throws when it is absent, empty or cannot be read. */
  previewSecret(): Promise<string>
  /** What requests of the internal API are signed with. @throws when it is absent, empty or cannot be read. */
  internalApiSecret(): Promise<string>
}

export interface SecretsOptions {
  /** Name or ARN (JWT_SECRET_ID). */
  readonly jwtSecretId?: string
  /** Name or ARN (LINK_SECRET_ID). */
  readonly linkSecretId?: string
  /** Name or ARN (PREVIEW_SECRET_ID). */
  readonly previewSecretId?: string
  /** Name or ARN (INTERNAL_API_SECRET_ID). */
  readonly internalApiSecretId?: string
  /** `<prefix>/<teamId>/model-key` and `…/git-credentials` (TEAM_SECRETS_PREFIX). */
  readonly teamSecretsPrefix?: string
  readonly client?: Pick<SecretsManagerClient, 'send'>
  readonly clock?: Clock
}

type Cached = { readonly value: string | undefined; readonly at: number }

export function createSecrets(options: SecretsOptions): Secrets {
  const client = options.client ?? new SecretsManagerClient(AWS_CLIENT_DEFAULTS)
  const clock = options.clock ?? systemClock
  const cache = new Map<string, Cached>()
  const inFlight = new Map<string, Promise<string | undefined>>()

  async function fetchSecret(id: string): Promise<string | undefined> {
    try {
      const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: id }))
      return SecretString?.trim() || undefined
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return undefined
      throw error
    }
  }

  function keep(id: string, value: string | undefined): void {
    cache.delete(id)
    cache.set(id, { value, at: clock.now().getTime() })
    const [oldest] = cache.keys()
    if (cache.size > MAX_CACHED && oldest !== undefined) cache.delete(oldest)
  }

  async function refresh(id: string, last: Cached | undefined): Promise<string | undefined> {
    try {
      const value = await fetchSecret(id)
      keep(id, value)
      return value
    } catch (error) {
      if (last?.value !== undefined && clock.now().getTime() - last.at < STALE_MS) return last.value
      throw error
    }
  }

  function read(id: string): Promise<string | undefined> {
    const last = cache.get(id)
    const age = last ? clock.now().getTime() - last.at : Number.POSITIVE_INFINITY
    if (last && age < (last.value === undefined ? ABSENT_MS : FRESH_MS)) return Promise.resolve(last.value)
    // One call for all who ask at once.
    const running = inFlight.get(id) ?? refresh(id, last).finally(() => inFlight.delete(id))
    inFlight.set(id, running)
    return running
  }

  async function required(id: string | undefined, variable: string): Promise<string> {
    if (!id) throw new Error(`This function is not configured with ${variable}`)
    const value = await read(id)
    if (value === undefined) throw new Error(`Secret ${id} is absent or empty`)
    return value
  }

  function teamSecretId(teamId: string, name: string): string {
    if (!options.teamSecretsPrefix) throw new Error('This function is not configured with TEAM_SECRETS_PREFIX')
    // The id becomes a part of a path: a slash in it would name another team's secret.
    return `${options.teamSecretsPrefix}/${TeamIdSchema.parse(teamId)}/${name}`
  }

  return {
    jwtSecret: () => required(options.jwtSecretId, 'JWT_SECRET_ID'),
    linkSecret: () => required(options.linkSecretId, 'LINK_SECRET_ID'),
    previewSecret: () => required(options.previewSecretId, 'PREVIEW_SECRET_ID'),
    internalApiSecret: () => required(options.internalApiSecretId, 'INTERNAL_API_SECRET_ID'),
    teamModelKey: async (teamId) => read(teamSecretId(teamId, TEAM_SECRETS.modelKey)),
    // Asked for once a container's connection, and whoever has just stored them restarts sync to see them work: never cached.
    teamGitCredentials: async (teamId) => fetchSecret(teamSecretId(teamId, TEAM_SECRETS.gitCredentials)),
  }
}
