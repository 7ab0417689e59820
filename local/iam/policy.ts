import * as z from 'zod'
import { AwsError } from '../common/aws-error.ts'
import { conditionsHold } from './conditions.ts'
import { type Context, matchesText, resolveVariables } from './policy-text.ts'

const OneOrMany = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat())
const ConditionValue = z
  .union([z.string(), z.boolean(), z.number(), z.array(z.union([z.string(), z.boolean(), z.number()]))])
  .transform((value) => [value].flat().map(String))
const PrincipalSchema = z.union([z.literal('*'), z.record(z.string(), OneOrMany)])

const StatementSchema = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: PrincipalSchema.optional(),
  NotPrincipal: PrincipalSchema.optional(),
  Action: OneOrMany.optional(),
  NotAction: OneOrMany.optional(),
  Resource: OneOrMany.optional(),
  NotResource: OneOrMany.optional(),
  Condition: z.record(z.string(), z.record(z.string(), ConditionValue)).optional(),
})
const PolicySchema = z.strictObject({
  Version: z.enum(['2008-10-17', '2012-10-17']).optional(),
  Id: z.string().optional(),
  Statement: z.union([StatementSchema.transform((one) => [one]), z.array(StatementSchema).min(1)]),
})

/** A policy document of the IAM policy language. */
export type PolicyDocument = z.infer<typeof PolicySchema>
type Statement = z.infer<typeof StatementSchema>

/** Who asks: a role, an AWS service, or nobody that is known. */
export type Principal =
  | { readonly kind: 'role'; readonly arn: string; readonly account: string }
  | { readonly kind: 'service'; readonly name: string }
  | { readonly kind: 'anonymous' }

/** One question to the policies. Names of condition keys in `context` are lower-case. */
export interface AccessRequest {
  readonly action: string
  readonly resource: string
  readonly principal: Principal
  readonly context: Context
}

/** What a policy says to a request: an explicit deny wins over an allow; `none` is the implicit deny. */
export type Verdict = 'allow' | 'deny' | 'none'

/** Reads a policy document, as JSON text or as a value. Throws MalformedPolicyDocument. */
export function parsePolicy(document: unknown): PolicyDocument {
  let value = document
  if (typeof document === 'string')
    try {
      value = JSON.parse(document)
    } catch {
      // The text of the error is the service's own; the parser's would tell nothing more to the caller.
      throw malformed('This policy contains invalid Json')
    }
  const parsed = PolicySchema.safeParse(value)
  if (!parsed.success) throw malformed(`Syntax errors in policy. ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

function malformed(message: string): AwsError {
  return new AwsError('MalformedPolicyDocument', message)
}

/**
 * What one policy says. In an identity policy every statement is about the role that has it; in a resource policy
 * `Principal` says about whom it is. Throws when a statement that could apply uses an operator that is not evaluated here.
 */
export function evaluate(policy: PolicyDocument, request: AccessRequest, kind: 'identity' | 'resource'): Verdict {
  // Variables are text in policies of the older version.
  const context = policy.Version === '2012-10-17' ? request.context : undefined
  let verdict: Verdict = 'none'
  for (const statement of policy.Statement) {
    if (!appliesTo(statement, request, kind, context)) continue
    if (statement.Effect === 'Deny') return 'deny'
    verdict = 'allow'
  }
  return verdict
}

function appliesTo(
  statement: Statement,
  request: AccessRequest,
  kind: 'identity' | 'resource',
  variables: Context | undefined,
): boolean {
  const { Action, NotAction, Resource, NotResource, Condition } = statement
  const isAction = (pattern: string) => matchesText([{ text: pattern.toLowerCase() }], request.action.toLowerCase())
  if (Action ? !Action.some(isAction) : NotAction?.some(isAction)) return false
  const isResource = (pattern: string) => {
    const resolved = resolveVariables(pattern, variables)
    return resolved !== undefined && matchesText(resolved, request.resource)
  }
  if (Resource ? !Resource.some(isResource) : NotResource?.some(isResource)) return false
  if (kind === 'resource' && !isAbout(statement, request.principal)) return false
  return conditionsHold(Condition ?? {}, request.context, variables)
}

function isAbout({ Principal: named, NotPrincipal: excluded, Effect }: Statement, principal: Principal): boolean {
  if (named) return includes(named, principal, Effect)
  return excluded ? !includes(excluded, principal, 'Deny') : false
}

function includes(named: z.infer<typeof PrincipalSchema>, principal: Principal, effect: 'Allow' | 'Deny'): boolean {
  if (named === '*' || named.AWS?.includes('*')) return true
  if (principal.kind === 'service') return named.Service?.includes(principal.name) ?? false
  if (principal.kind === 'anonymous') return false
  if (named.AWS?.includes(principal.arn)) return true
  // Naming the account denies to all of it, but only delegates to it: its roles need an allow of their own.
  const accounts = [principal.account, `arn:aws:iam::${principal.account}:root`]
  return effect === 'Deny' && (named.AWS?.some((each) => accounts.includes(each)) ?? false)
}
