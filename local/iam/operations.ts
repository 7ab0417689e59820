import type { AwsOperation } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { parsePolicy } from './policy.ts'
import { noSuch, type Role, type Roles, type RoleTag } from './roles.ts'

interface Input {
  readonly RoleName?: string
  readonly Path?: string
  readonly PathPrefix?: string
  readonly AssumeRolePolicyDocument?: string
  readonly Description?: string
  readonly MaxSessionDuration?: string
  readonly PermissionsBoundary?: string
  readonly Tags?: readonly Partial<RoleTag>[]
  readonly TagKeys?: readonly string[]
  readonly PolicyName?: string
  readonly PolicyDocument?: string
  readonly Marker?: string
  readonly MaxItems?: string
}

/** Source of the limits: IAM User Guide, reference_iam-quotas.html; of the patterns: the API reference of CreateRole. */
const LIMITS = { roleName: 64, policyName: 128, path: 512, description: 1_000, tags: 50, policyBytes: 10_240 } as const
const NAME = /^[\w+=,.@-]+$/
const PATH = /^\/(?:[\x21-\x7e]*\/)?$/

function invalid(message: string): never {
  throw new AwsError('ValidationError', message)
}

function named(value: string | undefined, member: 'roleName' | 'policyName'): string {
  if (!value)
    return invalid(
      `1 validation error detected: Value null at '${member}' failed to satisfy constraint: Member must not be null`,
    )
  if (value.length > LIMITS[member])
    invalid(
      `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must have length less than or equal to ${LIMITS[member]}`,
    )
  if (!NAME.test(value))
    invalid(
      `The specified value for ${member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-`,
    )
  return value
}

function pathOf(value: string): string {
  if (value.length > LIMITS.path || !PATH.test(value))
    invalid(
      'The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.',
    )
  return value
}

function tagsOf(tags: readonly Partial<RoleTag>[]): RoleTag[] {
  if (tags.length > LIMITS.tags)
    throw new AwsError('LimitExceeded', 'The number of tags has reached the maximum limit.', { statusCode: 409 })
  const keys = new Set<string>()
  return tags.map(({ Key, Value = '' }) => {
    if (!Key || Key.length > 128 || Value.length > 256 || /^aws:/i.test(Key))
      throw new AwsError('InvalidInput', `Invalid tag: ${Key}`)
    if (keys.has(Key.toLowerCase()))
      throw new AwsError('InvalidInput', 'Duplicate tag keys found. Please note that Tag keys are case insensitive.')
    keys.add(Key.toLowerCase())
    return { Key, Value }
  })
}

/** `MaxItems` and `Marker`. The marker is the last item given out, so that what comes and goes shifts no page. */
function page<Item>(items: readonly Item[], nameOf: (item: Item) => string, { MaxItems = '100', Marker }: Input) {
  const size = Number(MaxItems)
  if (!Number.isInteger(size) || size < 1 || size > 1_000) invalid('MaxItems must be between 1 and 1000.')
  const after = Marker === undefined ? '' : Buffer.from(Marker, 'base64url').toString()
  const left = items.filter((item) => nameOf(item) > after)
  const given = left.slice(0, size)
  const last = given.at(-1)
  const more = last !== undefined && left.length > given.length
  return {
    items: given,
    rest: { IsTruncated: more, ...(more ? { Marker: Buffer.from(nameOf(last)).toString('base64url') } : {}) },
  }
}

/** `full`: as CreateRole and GetRole answer; lists leave tags and boundary out. */
function roleDocument(role: Role, full: boolean): Record<string, unknown> {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: new Date(role.createdAt),
    AssumeRolePolicyDocument: encodeURIComponent(role.trust),
    Description: role.description,
    MaxSessionDuration: role.maxSessionSeconds,
    ...(full && role.boundaryArn !== undefined
      ? { PermissionsBoundary: { PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: role.boundaryArn } }
      : {}),
    ...(full && role.tags.length > 0 ? { Tags: role.tags } : {}),
  }
}

/** IAM's operations on roles. `save` resolves when a change is on disk. */
export function roleOperations(
  roles: Roles,
  options: { readonly now: () => number; readonly save: () => Promise<void> },
): Record<string, AwsOperation> {
  const { now, save } = options
  const roleOf = ({ RoleName }: Input) => roles.get(named(RoleName, 'roleName'))

  return {
    async CreateRole(input: Input) {
      const { Description: description, PermissionsBoundary: boundaryArn } = input
      const name = named(input.RoleName, 'roleName')
      if (description !== undefined && description.length > LIMITS.description) invalid('The description is too long.')
      const maxSessionSeconds = Number(input.MaxSessionDuration ?? 3_600)
      if (!(maxSessionSeconds >= 3_600 && maxSessionSeconds <= 43_200))
        invalid('MaxSessionDuration must be between 3600 and 43200 seconds.')
      parsePolicy(input.AssumeRolePolicyDocument ?? '')
      const role = roles.add({
        name,
        path: pathOf(input.Path ?? '/'),
        createdAt: now(),
        trust: input.AssumeRolePolicyDocument ?? '',
        maxSessionSeconds,
        ...(description === undefined ? {} : { description }),
        ...(boundaryArn === undefined ? {} : { boundaryArn }),
        tags: tagsOf(input.Tags ?? []),
      })
      await save()
      return { Role: roleDocument(role, true) }
    },
    GetRole: (input: Input) => ({ Role: roleDocument(roleOf(input), true) }),
    ListRoles(input: Input) {
      const prefix = input.PathPrefix ?? '/'
      const found = roles.all().filter(({ path }) => path.startsWith(prefix))
      const { items, rest } = page(found, ({ path, name }) => path + name, input)
      return { Roles: items.map((role) => roleDocument(role, false)), ...rest }
    },
    async DeleteRole(input: Input) {
      const role = roleOf(input)
      const conflict = (message: string) => new AwsError('DeleteConflict', message, { statusCode: 409 })
      if (role.managed.length > 0) throw conflict('Cannot delete entity, must detach all policies first.')
      if (Object.keys(role.policies).length > 0) throw conflict('Cannot delete entity, must delete policies first.')
      roles.remove(role)
      await save()
    },
    async PutRolePolicy(input: Input) {
      const role = roleOf(input)
      const name = named(input.PolicyName, 'policyName')
      const document = input.PolicyDocument ?? ''
      parsePolicy(document)
      const policies = { ...role.policies, [name]: document }
      // White space does not count.
      const size = Object.values(policies).reduce((sum, text) => sum + text.replace(/\s/g, '').length, 0)
      if (size > LIMITS.policyBytes)
        throw new AwsError(
          'LimitExceeded',
          `Maximum policy size of ${LIMITS.policyBytes} bytes exceeded for role ${role.name}`,
          {
            statusCode: 409,
          },
        )
      role.policies = policies
      await save()
    },
    GetRolePolicy(input: Input) {
      const role = roleOf(input)
      const name = named(input.PolicyName, 'policyName')
      const document = role.policies[name]
      if (document === undefined) throw noSuch(`The role policy with name ${name} cannot be found.`)
      return { RoleName: role.name, PolicyName: name, PolicyDocument: encodeURIComponent(document) }
    },
    ListRolePolicies(input: Input) {
      const { items, rest } = page(Object.keys(roleOf(input).policies).sort(), (name) => name, input)
      return { PolicyNames: items, ...rest }
    },
    async DeleteRolePolicy(input: Input) {
      const role = roleOf(input)
      const name = named(input.PolicyName, 'policyName')
      if (role.policies[name] === undefined) throw noSuch(`The role policy with name ${name} cannot be found.`)
      role.policies = Object.fromEntries(Object.entries(role.policies).filter(([other]) => other !== name))
      await save()
    },
    ListAttachedRolePolicies: (input: Input) => ({
      AttachedPolicies: roleOf(input).managed.map((PolicyArn) => ({
        PolicyName: PolicyArn.split('/').at(-1),
        PolicyArn,
      })),
      IsTruncated: false,
    }),
    async TagRole(input: Input) {
      const role = roleOf(input)
      const added = tagsOf(input.Tags ?? [])
      const replaced = new Set(added.map(({ Key }) => Key.toLowerCase()))
      role.tags = tagsOf([...role.tags.filter(({ Key }) => !replaced.has(Key.toLowerCase())), ...added])
      await save()
    },
    async UntagRole(input: Input) {
      const role = roleOf(input)
      const removed = new Set((input.TagKeys ?? []).map((key) => key.toLowerCase()))
      role.tags = role.tags.filter(({ Key }) => !removed.has(Key.toLowerCase()))
      await save()
    },
    ListRoleTags(input: Input) {
      const sorted = roleOf(input).tags.toSorted((one, other) => (one.Key < other.Key ? -1 : 1))
      const { items, rest } = page(sorted, ({ Key }) => Key, input)
      return { Tags: items, ...rest }
    },
  }
}
