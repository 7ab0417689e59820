import * as z from 'zod'
import { CONTAINER_ENV } from '../../../shared/contracts/link.ts'
import { type ContainerSettings, takeContainerSettings } from '../../common/src/settings.ts'

export type AgentSettings = ContainerSettings & {
  /** The working tree that the team's agents share. */
  readonly workspace: string
}

/** Reads the agent's settings and takes the ticket out of `env`. Throws `SettingsError`. */
export function takeSettings(env: NodeJS.ProcessEnv): AgentSettings {
  const { more, ...common } = takeContainerSettings(env, {
    [CONTAINER_ENV.workspace]: z.string().startsWith('/').default('/workspaces/workspace'),
  })
  return { ...common, workspace: more[CONTAINER_ENV.workspace] }
}

/**
 * The whole environment of a child, made from nothing: neither the ticket nor ECS's metadata and credential addresses
 * (`ECS_CONTAINER_METADATA_URI_V4`, `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`) can be in it.
 */
export function childEnvironment(
  settings: Pick<AgentSettings, 'home' | 'path' | 'extraCaCerts'>,
  agentName: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    PATH: settings.path,
    HOME: settings.home,
    LANG: 'C.UTF-8',
    TERM: 'xterm-256color',
    // Without a name and an address git refuses to commit; the address is in a domain that can never receive mail.
    GIT_AUTHOR_NAME: agentName,
    GIT_AUTHOR_EMAIL: 'agent@covibes.invalid',
    GIT_COMMITTER_NAME: agentName,
    GIT_COMMITTER_EMAIL: 'agent@covibes.invalid',
    ...(settings.extraCaCerts ? { NODE_EXTRA_CA_CERTS: settings.extraCaCerts } : {}),
    ...more,
  }
}
