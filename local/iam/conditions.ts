import { type Context, equalsText, matchesArn, matchesText, resolveVariables, type Stretch } from './policy-text.ts'

/** `Condition` of a statement: operator → key → values. */
export type Conditions = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

type Comparison = (expected: readonly Stretch[], actual: string) => boolean

const lower = (stretches: readonly Stretch[]) => stretches.map((each) => ({ ...each, text: each.text.toLowerCase() }))
const ignoringCase: Comparison = (expected, actual) => equalsText(lower(expected), actual.toLowerCase())

/** The operators that are evaluated, with whether they are negated. */
const OPERATORS: Readonly<Record<string, { readonly compare: Comparison; readonly negated?: true }>> = {
  StringEquals: { compare: equalsText },
  StringNotEquals: { compare: equalsText, negated: true },
  StringEqualsIgnoreCase: { compare: ignoringCase },
  StringNotEqualsIgnoreCase: { compare: ignoringCase, negated: true },
  StringLike: { compare: matchesText },
  StringNotLike: { compare: matchesText, negated: true },
  ArnEquals: { compare: matchesArn },
  ArnLike: { compare: matchesArn },
  ArnNotEquals: { compare: matchesArn, negated: true },
  ArnNotLike: { compare: matchesArn, negated: true },
  Bool: { compare: ignoringCase },
}

/**
 * Whether all conditions hold. Several values of a key are alternatives; a negated operator holds when none of them is equal.
 * A key that the request does not have fails an operator, holds for a negated one and for one with `IfExists`; `Null` asks for
 * just that. Source: IAM User Guide, reference_policies_elements_condition_operators.html. Throws for an operator that is not
 * evaluated here (numeric, date, address, binary, sets).
 */
export function conditionsHold(conditions: Conditions, context: Context, variables: Context | undefined): boolean {
  return Object.entries(conditions).every(([operator, keys]) =>
    Object.entries(keys).every(([key, values]) => holds(operator, values, context[key.toLowerCase()], variables)),
  )
}

function holds(
  operator: string,
  values: readonly string[],
  actual: string | undefined,
  variables: Context | undefined,
): boolean {
  if (operator === 'Null') return values.some((value) => (value.toLowerCase() === 'true') === (actual === undefined))
  const ifExists = operator.endsWith('IfExists')
  const known = OPERATORS[ifExists ? operator.slice(0, -'IfExists'.length) : operator]
  if (!known) throw new Error(`The condition operator ${operator} is not evaluated by the one-machine runtime`)
  const negated = known.negated ?? false
  if (actual === undefined) return ifExists || negated
  const found = values.some((value) => {
    const expected = resolveVariables(value, variables)
    return expected !== undefined && known.compare(expected, actual)
  })
  return found !== negated
}
