/** Reasoned exceptions from the AwsSolutions rules: every one names the finding and says why it stands. */
import { Stack, Validations } from 'aws-cdk-lib'
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { IConstruct } from 'constructs'

/** Accepts findings of one rule id on a construct and everything below it. */
export function acknowledge(construct: IConstruct, findings: Readonly<Record<string, string>>): void {
  for (const [id, reason] of Object.entries(findings)) Validations.of(construct).acknowledge({ id, reason })
}

/**
 * Accepts the wildcards in the resources of these statements of a policy. A finding is identified by the resource as the template has
 * it, and references to other stacks have their final form only when the tree is validated, so the ids are made then.
 */
export function acknowledgeWildcards(policy: IConstruct, statements: readonly PolicyStatement[], reason: string): void {
  policy.node.addValidation({
    validate: () => {
      for (const resource of statements.flatMap((statement) => statement.resources)) {
        const flat = flattened(Stack.of(policy).resolve(resource))
        if (flat.includes('*')) acknowledge(policy, { [`AwsSolutions-IAM5[Resource::${flat}]`]: reason })
      }
      return []
    },
  })
}

/** The text by which cdk-nag names a resource: `Fn::Join` joined, references in angle brackets. */
function flattened(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null) throw new Error(`Not a resource: ${JSON.stringify(value)}`)
  if ('Fn::Join' in value && Array.isArray(value['Fn::Join'])) {
    const [delimiter, parts] = value['Fn::Join']
    return parts.map(flattened).join(delimiter)
  }
  if ('Fn::GetAtt' in value && Array.isArray(value['Fn::GetAtt'])) return `<${value['Fn::GetAtt'].join('.')}>`
  if ('Fn::ImportValue' in value) return flattened(value['Fn::ImportValue'])
  if ('Ref' in value) return `<${value.Ref}>`
  return JSON.stringify(value)
}
