import { homedir } from 'node:os'
import * as z from 'zod'
import { AGENT_STATUS_PORT } from '../../../shared/contracts/limits.ts'
import { CONTAINER_ENV } from '../../../shared/contracts/link.ts'

/** The variables the container is started with. `COVIBES_ENVIRONMENT` is `<team>/<record>/<generation>`. */
export const AgentEnvSchema = z.object({
  [CONTAINER_ENV.environment]: z
    .string()
    .max(128)
    .regex(/^[A-Za-z0-9_-]+\/[A-Za-z0-9_-]+\/\d+$/, 'must be <team>/<record>/<generation>'),
  [CONTAINER_ENV.ticket]: z.string().min(1),
  [CONTAINER_ENV.linkUrl]: z.url({ protocol: /^wss?$/ }),
  [CONTAINER_ENV.workspace]: z.string().startsWith('/').default('/workspace'),
  PORT: z.coerce.number().int().min(0).max(65535).default(AGENT_STATUS_PORT),
  HOST: z.string().min(1).default('0.0.0.0'),
})

/** What the agent knows about itself. `ticket` is the only secret; it leaves this object for the link client alone. */
export type AgentSettings = {
  readonly environment: string
  readonly ticket: string
  readonly linkUrl: string
  readonly workspace: string
  readonly port: number
  readonly host: string
  readonly home: string
  readonly path: string
  /** Certificate authorities of the machine, for children that make TLS connections. */
  readonly extraCaCerts?: string
}

/** The container's variables are missing or wrong; the message names each of them. */
export class SettingsError extends Error {
  constructor(issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]) {
    super(issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '))
    this.name = 'SettingsError'
  }
}

/**
 * Reads the settings and takes the ticket out of `env`, so that no child, no crash report and no later reader of the
 * environment finds it. Throws `SettingsError`; the ticket is gone even then.
 */
export function takeSettings(env: NodeJS.ProcessEnv): AgentSettings {
  const parsed = AgentEnvSchema.safeParse(env)
  delete env[CONTAINER_ENV.ticket]
  if (!parsed.success) throw new SettingsError(parsed.error.issues)
  const values = parsed.data
  return {
    environment: values[CONTAINER_ENV.environment],
    ticket: values[CONTAINER_ENV.ticket],
    linkUrl: values[CONTAINER_ENV.linkUrl],
    workspace: values[CONTAINER_ENV.workspace],
    port: values.PORT,
    host: values.HOST,
    home: env.HOME ?? homedir(),
    path: env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    ...(env.NODE_EXTRA_CA_CERTS ? { extraCaCerts: env.NODE_EXTRA_CA_CERTS } : {}),
  }
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
