import { compileExpression, type FieldTest, type Leaf, OPERATORS, PatternError } from './pattern-operators.ts'

/** An event pattern as a rule has it. */
export type Pattern = Readonly<Record<string, unknown>>

/** Whether an event matches. */
export type EventTest = (event: unknown) => boolean

/** Longest event pattern in characters. Source: the API reference of PutRule. */
export const MAX_PATTERN_LENGTH = 4_096

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Compiles an event pattern, given as JSON text or as an object. All fields must match, each by any of its values; a field
 * of an event that is an array matches by any of its members, and fields of objects in an array must match within the same
 * object. Throws `PatternError` with EventBridge's reason.
 *
 * Semantics: https://github.com/aws/event-ruler (the engine of EventBridge) and
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
export function compilePattern(pattern: unknown): EventTest {
  const parsed = typeof pattern === 'string' ? parse(pattern) : pattern
  if (!isObject(parsed)) throw new PatternError('Filter is not an object')
  if (JSON.stringify(parsed).length > MAX_PATTERN_LENGTH)
    throw new PatternError(`Event pattern is longer than ${MAX_PATTERN_LENGTH} characters`)
  return compileObject(parsed, false)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Where in the text it went wrong is worded otherwise by each JSON parser.
    throw new PatternError('Invalid JSON')
  }
}

function compileObject(pattern: Pattern, insideOr: boolean): EventTest {
  const tests = Object.entries(pattern).map(([name, value]): EventTest => {
    if (name === '$or') return compileOr(value)
    if (insideOr && OPERATORS.has(name))
      throw new PatternError(`${name} is Ruler reserved fieldName which cannot be used inside $or.`)
    const test = compileField(name, value, insideOr)
    return (event) => test(isObject(event) && Object.hasOwn(event, name) ? event[name] : undefined)
  })
  if (tests.length === 0) throw new PatternError('Empty objects are not allowed')
  return (event) => tests.every((test) => test(event))
}

function compileOr(alternatives: unknown): EventTest {
  if (!Array.isArray(alternatives)) throw new PatternError('It must be an Array followed with $or.')
  const tests = (alternatives as unknown[]).map((alternative) => {
    if (!isObject(alternative)) throw new PatternError('Only JSON object is allowed in array of $or relationship.')
    return compileObject(alternative, true)
  })
  if (tests.length < 2) throw new PatternError('There must have at least 2 Objects in $or relationship.')
  return (event) => tests.some((test) => test(event))
}

/** A test of a field's value, which is `undefined` when the field is absent. */
function compileField(name: string, value: unknown, insideOr: boolean): EventTest {
  if (Array.isArray(value)) return compileValues(value as unknown[])
  if (!isObject(value)) throw new PatternError(`"${name}" must be an object or an array`)
  const inner = compileObject(value, insideOr)
  return (field) => objectsIn(field).some(inner)
}

function compileValues(values: readonly unknown[]): EventTest {
  if (values.length === 0) throw new PatternError('Empty arrays are not allowed')
  const tests: FieldTest[] = values.map(compileExpression)
  return (field) => {
    const leaves = leavesIn(field)
    if (leaves.length === 0) return tests.some(({ absent }) => absent)
    return leaves.some((leaf) => tests.some((test) => test.leaf(leaf)))
  }
}

/** The objects that a nested pattern may match; one without fields when there is none, as all its fields are absent. */
function objectsIn(field: unknown): unknown[] {
  const objects = [field].flat(Number.POSITIVE_INFINITY).filter(isObject)
  return objects.length > 0 ? objects : [{}]
}

/** Only ends of paths count: an object is no leaf, so a field that holds one is absent for a list of values. */
function leavesIn(field: unknown): Leaf[] {
  return [field].flat(Number.POSITIVE_INFINITY).filter((value) => value !== undefined && !isObject(value)) as Leaf[]
}

const compiled = new WeakMap<Pattern, EventTest>()

/** Whether an event matches a pattern. Throws `PatternError` for what is no pattern. */
export function matchesPattern(pattern: Pattern, event: unknown): boolean {
  const test = compiled.get(pattern) ?? compilePattern(pattern)
  compiled.set(pattern, test)
  return test(event)
}
