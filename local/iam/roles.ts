import { createHash, randomBytes } from 'node:crypto'
import { ACCOUNT_ID, PARTITION } from '../assembly/account.ts'
import type { Resource } from '../assembly/cloud-assembly.ts'
import { AwsError } from '../common/aws-error.ts'
import { type PolicyDocument, parsePolicy } from './policy.ts'

/** A tag of a role. */
export interface RoleTag {
  readonly Key: string
  readonly Value: string
}

/** A role with its inline policies, by name. Policy documents are JSON text as they were given; times are epoch milliseconds. */
export interface Role {
  readonly name: string
  readonly path: string
  readonly arn: string
  readonly id: string
  readonly createdAt: number
  readonly trust: string
  readonly description?: string
  readonly maxSessionSeconds: number
  readonly boundaryArn?: string
  tags: readonly RoleTag[]
  policies: Readonly<Record<string, string>>
  /** ARNs of the managed policies that the template attaches. */
  readonly managed: readonly string[]
}

/** A resource of the template, as far as this part reads it. */
export type TemplateResource = Pick<Resource, 'type' | 'logicalId' | 'ref' | 'arn' | 'properties'>

/** Roles an account may have unless its quota is raised. Source: IAM User Guide, reference_iam-quotas.html */
const MAX_ROLES = 1_000

/** All roles: those of the template, which are made anew at each start, and those made by call, which are kept. */
export class Roles {
  readonly #byName = new Map<string, Role>()
  readonly #ofTemplate = new Set<Role>()
  readonly #managed: ReadonlyMap<string, string>

  constructor(resources: readonly TemplateResource[], kept: readonly Role[]) {
    this.#managed = managedPolicies(resources)
    for (const resource of resources) {
      if (resource.type !== 'AWS::IAM::Role') continue
      const role = templateRole(resource, resources)
      this.#byName.set(role.name.toLowerCase(), role)
      this.#ofTemplate.add(role)
    }
    for (const role of kept)
      if (!this.#byName.has(role.name.toLowerCase())) this.#byName.set(role.name.toLowerCase(), role)
  }

  /** Those made by call, for the state file. */
  made(): Role[] {
    return [...this.#byName.values()].filter((role) => !this.#ofTemplate.has(role))
  }

  /** Sorted by path and name. */
  all(): Role[] {
    return [...this.#byName.values()].sort((one, other) => (one.path + one.name < other.path + other.name ? -1 : 1))
  }

  /** Names are the same in any case. Throws NoSuchEntity. */
  get(name: string): Role {
    const role = this.#byName.get(name.toLowerCase())
    if (!role) throw noSuch(`The role with name ${name} cannot be found.`)
    return role
  }

  /** By ARN; undefined when there is none. */
  find(arn: string): Role | undefined {
    const role = this.#byName.get((arn.split('/').at(-1) ?? '').toLowerCase())
    return role?.arn === arn ? role : undefined
  }

  /** Throws EntityAlreadyExists, LimitExceeded or, for an unknown permissions boundary, NoSuchEntity. */
  add(fields: Omit<Role, 'arn' | 'id' | 'managed' | 'policies'>): Role {
    const key = fields.name.toLowerCase()
    if (this.#byName.has(key))
      throw new AwsError('EntityAlreadyExists', `Role with name ${fields.name} already exists.`, { statusCode: 409 })
    if (fields.boundaryArn !== undefined && !this.#managed.has(fields.boundaryArn))
      throw noSuch(`Scope ARN: ${fields.boundaryArn} does not exist or is not attachable.`)
    if (this.#byName.size >= MAX_ROLES)
      throw new AwsError('LimitExceeded', `Cannot exceed quota for RolesPerAccount: ${MAX_ROLES}`, { statusCode: 409 })
    const role: Role = {
      ...fields,
      arn: `arn:${PARTITION}:iam::${ACCOUNT_ID}:role${fields.path}${fields.name}`,
      // A role of the same name made again is another one.
      id: `AROA${uniqueId(randomBytes(16))}`,
      policies: {},
      managed: [],
    }
    this.#byName.set(key, role)
    return role
  }

  remove(role: Role): void {
    this.#byName.delete(role.name.toLowerCase())
  }

  /** All that a role's own policies say: inline and managed. A managed policy that the template does not have says nothing. */
  identityPolicies(role: Role): PolicyDocument[] {
    const managed = role.managed.map((arn) => this.#managed.get(arn)).filter((each) => each !== undefined)
    return [...Object.values(role.policies), ...managed].map(parsePolicy)
  }

  /** Undefined for a role without a permissions boundary. Throws when the boundary has gone from the template. */
  boundary(role: Role): PolicyDocument | undefined {
    if (role.boundaryArn === undefined) return undefined
    const document = this.#managed.get(role.boundaryArn)
    if (document === undefined) throw new Error(`The permissions boundary ${role.boundaryArn} of ${role.name} is gone`)
    return parsePolicy(document)
  }
}

/** The error for what is not there. */
export function noSuch(message: string): AwsError {
  return new AwsError('NoSuchEntity', message, { statusCode: 404 })
}

function uniqueId(seed: Buffer): string {
  return BigInt(`0x${seed.toString('hex')}`)
    .toString(36)
    .toUpperCase()
    .padStart(17, 'A')
    .slice(0, 17)
}

function managedPolicies(resources: readonly TemplateResource[]): Map<string, string> {
  return new Map(
    resources
      .filter(({ type }) => type === 'AWS::IAM::ManagedPolicy')
      .map(({ ref, properties }) => [ref, JSON.stringify(properties.PolicyDocument)]),
  )
}

/** `AWS::IAM::Role` with what `AWS::IAM::Policy` and `AWS::IAM::ManagedPolicy` attach to it. */
function templateRole({ ref, arn, properties }: TemplateResource, resources: readonly TemplateResource[]): Role {
  type Inline = { readonly PolicyName: string; readonly PolicyDocument: unknown }
  const attached = (type: string) =>
    resources.filter((each) => each.type === type && (each.properties.Roles as string[] | undefined)?.includes(ref))
  const inline = [
    ...((properties.Policies as Inline[] | undefined) ?? []),
    ...attached('AWS::IAM::Policy').map((each) => each.properties as unknown as Inline),
  ]
  const boundaryArn = properties.PermissionsBoundary as string | undefined
  return {
    name: ref,
    path: (properties.Path as string | undefined) ?? '/',
    arn,
    id: `AROA${uniqueId(createHash('sha256').update(arn).digest().subarray(0, 16))}`,
    createdAt: 0,
    trust: JSON.stringify(properties.AssumeRolePolicyDocument),
    maxSessionSeconds: Number(properties.MaxSessionDuration ?? 3_600),
    ...(boundaryArn === undefined ? {} : { boundaryArn }),
    tags: (properties.Tags as RoleTag[] | undefined) ?? [],
    policies: Object.fromEntries(inline.map((each) => [each.PolicyName, JSON.stringify(each.PolicyDocument)])),
    managed: [
      ...((properties.ManagedPolicyArns as string[] | undefined) ?? []),
      ...attached('AWS::IAM::ManagedPolicy').map((each) => each.ref),
    ],
  }
}
