import { homedir } from 'node:os'
import * as z from 'zod'
import { AGENT_STATUS_PORT } from '../../../shared/contracts/limits.ts'
import { CONTAINER_ENV } from '../../../shared/contracts/link.ts'

/** The variables that every container of ours is started with. `COVIBES_ENVIRONMENT` is `<team>/<record>/<generation>`. */
const ContainerEnvSchema = z.object({
  [CONTAINER_ENV.environment]: z
    .string()
    .max(128)
    .regex(/^[A-Za-z0-9_-]+\/[A-Za-z0-9_-]+\/\d+$/, 'must be <team>/<record>/<generation>'),
  [CONTAINER_ENV.ticket]: z.string().min(1),
  [CONTAINER_ENV.linkUrl]: z.url({ protocol: /^wss?$/ }),
  PORT: z.coerce.number().int().min(0).max(65535).default(AGENT_STATUS_PORT),
  HOST: z.string().min(1).default('0.0.0.0'),
})

/** What a container knows about itself. `ticket` is the only secret; it leaves this object for the link client alone. */
export type ContainerSettings = {
  readonly environment: string
  readonly ticket: string
  readonly linkUrl: string
  /** Of /health and /status. */
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
 * Reads the settings, those of `more` among them, and takes the ticket out of `env`, so that no child, no crash report and no
 * later reader of the environment finds it. Throws `SettingsError`; the ticket is gone even then.
 */
export function takeContainerSettings<More extends z.ZodRawShape>(
  env: NodeJS.ProcessEnv,
  more: More,
): ContainerSettings & { readonly more: z.infer<z.ZodObject<More>> } {
  const common = ContainerEnvSchema.safeParse(env)
  const own = z.object(more).safeParse(env)
  delete env[CONTAINER_ENV.ticket]
  if (!common.success || !own.success)
    throw new SettingsError([...(common.error?.issues ?? []), ...(own.error?.issues ?? [])])
  const values = common.data
  return {
    environment: values[CONTAINER_ENV.environment],
    ticket: values[CONTAINER_ENV.ticket],
    linkUrl: values[CONTAINER_ENV.linkUrl],
    port: values.PORT,
    host: values.HOST,
    home: env.HOME ?? homedir(),
    path: env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    ...(env.NODE_EXTRA_CA_CERTS ? { extraCaCerts: env.NODE_EXTRA_CA_CERTS } : {}),
    more: own.data,
  }
}
