import * as z from 'zod'
import { MIN_SECRET_CHARS } from '../../../shared/domain/previews/signatures.ts'

const Origin = z
  .url({ protocol: /^https?$/ })
  .refine(
    (text) => new URL(text).origin === text,
    'must be an origin: a scheme, a host, and a port unless it is the usual one',
  )

const EnvSchema = z.object({
  PREVIEWS_TABLE: z.string().min(1),
  WORK_QUEUE_URL: z.url(),
  /** Without a port; one label more is a preview's host. */
  PREVIEW_DOMAIN: z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'must be a domain name in lower case'),
  /** Where the browser sees previews: `https` behind the load balancer, `http` on one machine. */
  PREVIEW_SCHEME: z.enum(['https', 'http']).default('https'),
  /** The app's origins, separated by spaces: who may frame a preview. The first is where a visitor without a ticket is sent. */
  APP_ORIGIN: z
    .string()
    .transform((text) => text.trim().split(/\s+/))
    .pipe(z.tuple([Origin], Origin)),
  PREVIEW_SECRET: z.string().min(MIN_SECRET_CHARS),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  HEALTH_PORT: z.coerce.number().int().min(0).max(65_535).default(8081),
  HOST: z.string().min(1).default('0.0.0.0'),
  /** A load balancer stands in front: the last address in `X-Forwarded-For` is the visitor's. */
  BEHIND_LOAD_BALANCER: z.stringbool().default(false),
})
export type Settings = z.infer<typeof EnvSchema>

/** Reads the settings and takes the secret out of `env`. Throws an error that names each variable that is wrong. */
export function takeSettings(env: NodeJS.ProcessEnv): Settings {
  const parsed = EnvSchema.safeParse(env)
  delete env.PREVIEW_SECRET
  if (parsed.success) return parsed.data
  throw new Error(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '))
}
