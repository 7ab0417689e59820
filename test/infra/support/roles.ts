import type { FunctionId } from '../../../shared/contracts/functions.ts'
import type { Resource, Synthesized } from './synthesized.ts'

export interface Statement {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Resource: unknown
  readonly Condition?: unknown
}

/** The Lambda function's resource of a contract's function. */
export function lambdaOf({ ofType }: Synthesized, stage: string, id: FunctionId) {
  const name = `covibes-${stage}-${id}`
  const found = ofType('AWS::Lambda::Function').find(({ Properties }) => Properties.FunctionName === name)
  if (found === undefined) throw new Error(`No function ${name} in any template.`)
  return found
}

/** All statements that a role has, wherever they stand. */
export function statementsOf({ ofType }: Synthesized, stack: string, roleId: string): readonly Statement[] {
  const inStack = ofType('AWS::IAM::Policy').filter((policy) => policy.stack === stack)
  const attached = inStack.filter(({ Properties }) =>
    Properties.Roles.some((role: { Ref: string }) => role.Ref === roleId),
  )
  const own = ofType('AWS::IAM::Role').filter((role) => role.stack === stack && role.logicalId === roleId)
  const inline = own.flatMap(({ Properties }: Resource) => Properties.Policies ?? [])
  return [
    ...attached.map(({ Properties }) => Properties.PolicyDocument),
    ...inline.map(({ PolicyDocument }) => PolicyDocument),
  ].flatMap(({ Statement }) => Statement)
}

export function actionsOf(statements: readonly Statement[]): readonly string[] {
  return [...new Set(statements.flatMap(({ Action }) => Action))].sort()
}

/** Resources of a statement as text, with the names of what they refer to. */
export function resourcesOf(statement: Statement): readonly string[] {
  return [statement.Resource].flat().map((resource) => JSON.stringify(resource))
}
