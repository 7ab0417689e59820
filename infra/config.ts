/**
 * Stages as data. A stage is one deployment of the whole control plane; its values are all that differs between two of them.
 * Nothing is looked up: the same file synthesizes on a laptop without credentials.
 */
import * as z from 'zod'
import { PREVIEW_IDLE_MS } from '../shared/contracts/limits.ts'

/** CloudWatch Logs takes only certain numbers of days; these are the ones used here. */
const LogRetentionDays = z.union([z.literal(1), z.literal(7), z.literal(30), z.literal(90), z.literal(365)])

const Flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((value) => value === 'true')])

const StageFields = z.strictObject({
  /** Part of every physical name: short, so that the longest function name stays below Lambda's 64 characters. */
  stage: z.string().regex(/^[a-z][a-z0-9-]{0,19}$/),
  /** Data outlives the stack: RETAIN, deletion protection, log groups kept. */
  retain: z.boolean(),
  /** 0: tasks have public addresses in public subnets. From 1 on: private subnets behind that many NAT gateways. */
  natGateways: z.number().int().min(0).max(2),
  /** What runs the work of teams whose flags say nothing: containers (true) or the existing server (false). */
  useDockerAgents: Flag,
  /** The existing Covibes server; absent: there is none. */
  legacyApiUrl: z.url().optional(),
  /** Model endpoint given to agents; absent: the model provider's own. */
  modelBaseUrl: z.url().optional(),
  /** Complete ARN of a secret that already holds the existing server's JWT_SECRET; absent: the stack makes one to be filled. */
  jwtSecretArn: z.string().startsWith('arn:').optional(),
  logRetentionDays: LogRetentionDays,
  logLevel: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR']),
  agentArchitecture: z.enum(['X86_64', 'ARM64']),
  taskCapacityProvider: z.enum(['FARGATE', 'FARGATE_SPOT']),
  /** Repositories on addresses of the machine itself, over http too: for the one-machine runtime, where they are a developer's own. */
  allowLoopbackRepositories: Flag,
  /** Requests per second and burst of each of the two APIs; the account's own limit is 10,000/s (2,500 in many regions). */
  throttle: z.strictObject({ rate: z.number().int().positive(), burst: z.number().int().positive() }),
  /** Gets the alarms by mail; the address confirms the subscription itself. */
  alarmEmail: z.email().optional(),
  /** Host name of the frontend, without scheme or path; absent: the distribution's own `….cloudfront.net`. */
  appDomain: z.hostname().optional(),
  /** Certificate of `appDomain`. CloudFront takes certificates of us-east-1 only, wherever the stage is. */
  certificateArn: z.string().startsWith('arn:aws:acm:us-east-1:').optional(),
  /** Previews are `<label>.<previewDomain>`; absent: the stage has no previews. Lower case, as hosts are compared. */
  previewDomain: z.hostname().lowercase().optional(),
  /** Certificate of `*.<previewDomain>` in the stage's own region; absent: the stack makes one that the hosted zone proves. */
  previewCertificateArn: z.string().startsWith('arn:aws:acm:').optional(),
  /** Route 53 zone that gets the wildcard record of `previewDomain`; absent: whoever runs the domain's DNS makes it. */
  previewHostedZoneId: z
    .string()
    .regex(/^Z[A-Z0-9]{1,31}$/)
    .optional(),
  /** Minutes without a visitor after which a preview is stopped; the next visit starts it. */
  previewIdleMinutes: z.coerce.number().positive(),
})

export const StageConfigSchema = StageFields.refine(
  ({ appDomain, certificateArn }) => (appDomain === undefined) === (certificateArn === undefined),
  { error: 'appDomain and certificateArn are given together or not at all', path: ['appDomain'] },
)
  .refine(
    ({ previewDomain, previewCertificateArn, previewHostedZoneId }) =>
      previewDomain !== undefined || (previewCertificateArn === undefined && previewHostedZoneId === undefined),
    {
      error: 'previewCertificateArn and previewHostedZoneId are of no use without previewDomain',
      path: ['previewDomain'],
    },
  )
  .refine(
    (config) =>
      config.previewDomain === undefined ||
      isLoopback(config.previewDomain) ||
      config.previewCertificateArn !== undefined ||
      config.previewHostedZoneId !== undefined,
    {
      error: 'previewDomain needs previewCertificateArn, or previewHostedZoneId to make a certificate with',
      path: ['previewDomain'],
    },
  )
  .refine(({ appDomain, previewDomain }) => !isSameSite(appDomain, previewDomain), {
    error:
      'previewDomain must be another registrable domain than appDomain: previews run what agents wrote, and on one site their cookies and requests count as the own ones of the app',
    path: ['previewDomain'],
  })
export type StageConfig = z.output<typeof StageConfigSchema>

/** `localhost` and all below it, which browsers resolve to the machine they run on and trust without a certificate. */
export function isLoopback(domain: string): boolean {
  return domain === 'localhost' || domain.endsWith('.localhost')
}

/** Address of a preview: `http` where there is no certificate, on the own machine. */
export function previewOrigin(domain: string, label: string): string {
  return `${isLoopback(domain) ? 'http' : 'https'}://${label}.${domain}`
}

/**
 * Whether browsers may take two domains for one site: when they have their last two labels in common. Only the Public Suffix List
 * knows better: `a.co.uk` and `b.co.uk` are two sites and refused here, which is safe. A suffix of one label leaves two labels to a
 * site, so of what is allowed here nothing is the same site.
 */
function isSameSite(one: string | undefined, other: string | undefined): boolean {
  const lastTwo = (domain: string) => domain.toLowerCase().split('.').slice(-2).join('.')
  return one !== undefined && other !== undefined && lastTwo(one) === lastTwo(other)
}

const base = {
  retain: false,
  natGateways: 0,
  useDockerAgents: true,
  logRetentionDays: 7,
  logLevel: 'INFO',
  agentArchitecture: 'X86_64',
  taskCapacityProvider: 'FARGATE',
  allowLoopbackRepositories: false,
  previewIdleMinutes: PREVIEW_IDLE_MS / 60_000,
  throttle: { rate: 500, burst: 1000 },
} as const satisfies Partial<z.input<typeof StageConfigSchema>>

/** `local` is the stage the one-machine runtime synthesizes. */
export const stages = {
  local: {
    ...base,
    stage: 'local',
    allowLoopbackRepositories: true,
    throttle: { rate: 10_000, burst: 5_000 },
    previewDomain: 'preview.localhost',
  },
  dev: { ...base, stage: 'dev', logLevel: 'DEBUG', taskCapacityProvider: 'FARGATE_SPOT' },
  production: {
    ...base,
    stage: 'production',
    retain: true,
    useDockerAgents: false,
    logRetentionDays: 90,
    throttle: { rate: 2_000, burst: 2_000 },
  },
} as const satisfies Record<string, z.input<typeof StageConfigSchema>>

/** Values that may be given at synth time, and the environment variable of each (read for stage `local` only). */
const OVERRIDES = {
  legacyApiUrl: 'LEGACY_API_URL',
  modelBaseUrl: 'MODEL_BASE_URL',
  useDockerAgents: 'USE_DOCKER_AGENTS',
  jwtSecretArn: undefined,
  alarmEmail: undefined,
  appDomain: undefined,
  certificateArn: undefined,
  previewDomain: undefined,
  previewCertificateArn: undefined,
  previewHostedZoneId: undefined,
  previewIdleMinutes: 'PREVIEW_IDLE_MINUTES',
} as const satisfies Partial<Record<keyof StageConfig, string | undefined>>

/** What the one-machine runtime may take back: containers in a network of their own have a loopback of their own, too. */
const LOCAL_OVERRIDES = {
  ...OVERRIDES,
  allowLoopbackRepositories: 'ALLOW_LOOPBACK_REPOSITORIES',
} as const satisfies Partial<Record<keyof StageConfig, string | undefined>>

/**
 * The configuration of a stage. `context` reads CDK context (`-c legacyApiUrl=https://…`) and counts for every stage;
 * environment variables count for `local` only, so that a variable left in a shell never changes a deployed stage.
 *
 * @throws when the stage is unknown or a value does not fit, naming it.
 */
export function stageConfig(
  name: string,
  context: (key: string) => unknown = () => undefined,
  variables: Readonly<Record<string, string | undefined>> = {},
): StageConfig {
  const known = Object.entries(stages).find(([stage]) => stage === name)
  if (known === undefined) throw new Error(`Unknown stage "${name}"; known are ${Object.keys(stages).join(', ')}.`)
  const overrides: Record<string, unknown> = {}
  for (const [key, variable] of Object.entries(name === 'local' ? LOCAL_OVERRIDES : OVERRIDES)) {
    const fromShell = name === 'local' && variable !== undefined ? variables[variable] : undefined
    const value = context(key) ?? fromShell
    // An empty variable means "not set" in every shell; it would otherwise fail as a malformed URL.
    if (value !== undefined && value !== '') overrides[key] = value
  }
  const parsed = StageConfigSchema.safeParse({ ...known[1], ...overrides })
  if (!parsed.success) throw new Error(`Stage "${name}": ${z.prettifyError(parsed.error)}`)
  return parsed.data
}
