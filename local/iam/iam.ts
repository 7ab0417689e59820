import { join } from 'node:path'
import { ACCOUNT_ID } from '../assembly/account.ts'
import type { OnRequest } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { createAwsServer } from '../common/aws-server.ts'
import { createStateFile, readStateFile } from '../ecs/state-file.ts'
import { roleOperations } from './operations.ts'
import { evaluate, type PolicyDocument, type Principal, parsePolicy } from './policy.ts'
import type { Context } from './policy-text.ts'
import { awsQuery } from './query-protocol.ts'
import { type Role, Roles, type TemplateResource } from './roles.ts'

/** What `createIam` takes. */
export interface IamOptions {
  /** The template's roles and policies; others are passed over. */
  readonly resources?: readonly TemplateResource[]
  /** Where `iam.json` is kept; in memory when undefined. */
  readonly stateDir?: string
  readonly onRequest?: OnRequest
  /**
   * Other services see a role this long after it was made, as IAM is eventually consistent; default 0. Its own API shows it
   * at once.
   */
  readonly propagationMs?: number
  readonly port?: number
  readonly now?: () => number
}

/** A question whether a role may do something to a resource that may have a policy of its own. */
export interface RoleAccess {
  /** Undefined: nobody in particular, as an NFS client without IAM. */
  readonly roleArn: string | undefined
  readonly action: string
  readonly resource: string
  readonly resourcePolicy: PolicyDocument | undefined
  /** Condition keys of the request, in any case; those of the principal are added. */
  readonly context: Readonly<Record<string, string>>
}

/** A running AWS IAM endpoint, and what other services ask it. */
export interface Iam {
  /** The value for `AWS_ENDPOINT_URL_IAM`. */
  readonly url: string
  /** Whether a service may take on a role: it exists, and its trust policy says so. */
  canAssume(roleArn: string, service: string, context: Readonly<Record<string, string>>): boolean
  /**
   * Whether the policies allow it: the role's own (within its permissions boundary) or the resource's, and no explicit deny
   * in any. Throws when a policy has an operator that is not evaluated here.
   */
  allows(access: RoleAccess): boolean
  close(): Promise<void>
}

const NAMESPACE = 'https://iam.amazonaws.com/doc/2010-05-08/'

/** Starts an AWS IAM endpoint with the operations on roles. Roles made by call are kept, the template's are made anew. */
export async function createIam(options: IamOptions = {}): Promise<Iam> {
  const { propagationMs = 0, now = Date.now } = options
  const path = options.stateDir === undefined ? undefined : join(options.stateDir, 'iam.json')
  const kept = path === undefined ? undefined : ((await readStateFile(path)) as Role[] | undefined)
  const roles = new Roles(options.resources ?? [], kept ?? [])
  const file = createStateFile(path, () => JSON.stringify(roles.made()))
  const server = await createAwsServer({
    protocol: awsQuery({
      service: 'iam',
      version: '2010-05-08',
      namespace: NAMESPACE,
      operations: roleOperations(roles, { now, save: file.save }),
    }),
    onRequest: options.onRequest,
    port: options.port,
  })

  function seen(roleArn: string): Role | undefined {
    const role = roles.find(roleArn)
    return role && now() - role.createdAt >= propagationMs ? role : undefined
  }

  function allows({ roleArn, action, resource, resourcePolicy, context }: RoleAccess): boolean {
    const role = roleArn === undefined ? undefined : seen(roleArn)
    if (roleArn !== undefined && !role) return false
    const principal: Principal = role ? { kind: 'role', arn: role.arn, account: ACCOUNT_ID } : { kind: 'anonymous' }
    const request = {
      action,
      resource,
      principal,
      context: lowerKeys({ ...context, ...(role ? principalKeys(role) : {}) }),
    }
    const byResource = resourcePolicy ? evaluate(resourcePolicy, request, 'resource') : 'none'
    const own = role ? roles.identityPolicies(role).map((policy) => evaluate(policy, request, 'identity')) : []
    const boundary = role && roles.boundary(role)
    const withinBoundary = boundary ? evaluate(boundary, request, 'identity') : 'allow'
    if ([byResource, withinBoundary, ...own].includes('deny')) return false
    return byResource === 'allow' || (withinBoundary === 'allow' && own.includes('allow'))
  }

  return {
    url: server.url,
    allows,
    canAssume(roleArn, service, context) {
      const role = seen(roleArn)
      if (!role) return false
      const principal: Principal = { kind: 'service', name: service }
      const request = { action: 'sts:AssumeRole', resource: role.arn, principal, context: lowerKeys(context) }
      return evaluate(trustPolicy(role), request, 'resource') === 'allow'
    },
    async close() {
      await server.close()
      await file.close()
    },
  }
}

function trustPolicy(role: Role): PolicyDocument {
  try {
    return parsePolicy(role.trust)
  } catch (error) {
    if (!(error instanceof AwsError)) throw error
    throw new Error(`The trust policy of the template's role ${role.name}: ${error.message}`)
  }
}

/** The condition keys that tell of who asks. Source: IAM User Guide, reference_policies_condition-keys.html */
function principalKeys(role: Role): Record<string, string> {
  const tags = role.tags.map(({ Key, Value }) => [`aws:PrincipalTag/${Key}`, Value])
  return {
    'aws:PrincipalArn': role.arn,
    'aws:PrincipalAccount': ACCOUNT_ID,
    'aws:PrincipalType': 'AssumedRole',
    ...Object.fromEntries(tags),
  }
}

function lowerKeys(context: Readonly<Record<string, string>>): Context {
  return Object.fromEntries(Object.entries(context).map(([key, value]) => [key.toLowerCase(), value]))
}
