import { AwsError } from '../common/aws-error.ts'
import { isFargateSize } from './fargate-sizes.ts'
import type { Tag, TaskDefinition, TaskOverride } from './types.ts'

/** What RunTask takes, as far as this runtime acts on it. */
export interface RunTaskInput {
  readonly cluster?: string
  readonly taskDefinition?: string
  readonly count?: number
  readonly launchType?: string
  readonly capacityProviderStrategy?: readonly {
    readonly capacityProvider: string
    readonly weight?: number
    readonly base?: number
  }[]
  readonly networkConfiguration?: {
    readonly awsvpcConfiguration?: { readonly subnets?: readonly string[]; readonly securityGroups?: readonly string[] }
  }
  readonly overrides?: TaskOverride
  readonly startedBy?: string
  readonly group?: string
  readonly clientToken?: string
  readonly enableExecuteCommand?: boolean
  readonly enableECSManagedTags?: boolean
  readonly propagateTags?: string
  readonly platformVersion?: string
  readonly tags?: readonly Tag[]
}

/** RunTask takes at most this many tasks a call. Source: the API reference of RunTask, `count`. */
export const MAX_COUNT = 10
/** Longest `overrides` in characters of JSON. Source: the API reference of RunTask, `overrides`. */
export const MAX_OVERRIDES_LENGTH = 8_192

const PLATFORM_VERSIONS = new Set(['LATEST', '1.4.0', '1.3.0'])

function invalid(message: string): never {
  throw new AwsError('InvalidParameterException', message)
}

/** Checks what can be checked before the cluster and the task definition are looked up. */
export function validateRunTaskShape(input: RunTaskInput): void {
  const count = input.count ?? 1
  if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT) invalid(`Count must be between 1 and ${MAX_COUNT}.`)
  if (!input.taskDefinition) invalid('TaskDefinition should not be null or empty.')
  if (input.startedBy !== undefined && !/^[A-Za-z0-9_/-]{0,128}$/.test(input.startedBy))
    invalid('startedBy can be up to 128 letters, numbers, hyphens, forward slashes and underscores.')
  if (input.clientToken !== undefined && !/^[\x21-\x7e]{1,64}$/.test(input.clientToken))
    invalid('clientToken can be up to 64 characters in the range of 33-126, inclusive.')
  if (input.overrides && JSON.stringify(input.overrides).length > MAX_OVERRIDES_LENGTH)
    invalid(`Container Overrides length must be at most ${MAX_OVERRIDES_LENGTH}`)
  if (input.launchType !== undefined && input.capacityProviderStrategy !== undefined)
    invalid('Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.')
  if (input.launchType !== undefined && input.launchType !== 'FARGATE')
    invalid('No Container Instances were found in your cluster.')
  if (input.propagateTags === 'SERVICE') invalid('The tags can only be propagated from a task definition.')
  if (input.platformVersion !== undefined && !PLATFORM_VERSIONS.has(input.platformVersion))
    throw new AwsError('PlatformUnknownException', 'The specified platform does not exist.')
  validateTags(input.tags ?? [])
}

/** Checks tags: at most 50, keys of 1 to 128 and values of up to 256 characters, no key twice, no `aws:` prefix. */
export function validateTags(tags: readonly Tag[]): void {
  if (tags.length > 50) invalid('Too many tags: a resource has at most 50.')
  const keys = new Set<string>()
  for (const { key, value = '' } of tags) {
    if (!key || key.length > 128 || value.length > 256) invalid(`Invalid tag: ${key}`)
    if (/^aws:/i.test(key)) invalid('Tag keys that begin with aws: are reserved.')
    if (keys.has(key)) invalid(`Duplicate tag key: ${key}`)
    keys.add(key)
  }
}

/** Which capacity a call asks for: the launch type FARGATE, or the first weighted provider of a strategy. */
export function capacityOf(
  input: RunTaskInput,
  associated: ReadonlySet<string>,
): 'FARGATE' | 'FARGATE_SPOT' | undefined {
  if (!input.capacityProviderStrategy) return undefined
  for (const { capacityProvider } of input.capacityProviderStrategy)
    if (!associated.has(capacityProvider))
      invalid(
        `The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. The following capacity provider(s) are not associated: [${capacityProvider}].`,
      )
  const chosen =
    input.capacityProviderStrategy.find(({ base = 0 }) => base > 0) ??
    input.capacityProviderStrategy.find(({ weight = 0 }) => weight > 0) ??
    (input.capacityProviderStrategy.length === 1 ? input.capacityProviderStrategy[0] : undefined)
  if (!chosen) return invalid('At least one capacity provider of the strategy must have a weight above 0.')
  return chosen.capacityProvider as 'FARGATE' | 'FARGATE_SPOT'
}

/** Checks a call against its task definition. */
export function validateAgainstDefinition(input: RunTaskInput, definition: TaskDefinition): void {
  if (definition.status !== 'ACTIVE') throw new AwsError('ClientException', 'TaskDefinition is inactive')
  if (!definition.requiresCompatibilities?.includes('FARGATE'))
    invalid('Task definition does not support launch_type FARGATE.')
  if (!input.networkConfiguration?.awsvpcConfiguration)
    invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
  const subnets = input.networkConfiguration.awsvpcConfiguration.subnets ?? []
  if (subnets.length === 0) invalid('subnets can not be empty.')
  if (subnets.length > 16) invalid('subnets can have at most 16 items.')
  const names = new Set(definition.containerDefinitions.map(({ name }) => name))
  for (const { name } of input.overrides?.containerOverrides ?? [])
    if (name === undefined || !names.has(name))
      invalid(`Override for container named ${name} is not a container in the TaskDefinition.`)
  const { cpu = definition.cpu ?? '', memory = definition.memory ?? '' } = input.overrides ?? {}
  if (!isFargateSize(cpu, memory))
    throw new AwsError('ClientException', 'No Fargate configuration exists for given values.')
  const spot = input.capacityProviderStrategy?.some(({ capacityProvider }) => capacityProvider === 'FARGATE_SPOT')
  if (spot && definition.runtimePlatform?.cpuArchitecture === 'ARM64')
    invalid('FARGATE_SPOT does not support tasks with the ARM64 architecture.')
}
