import { BlockList, isIP } from 'node:net'

/** A value at the end of a path: what operators compare with. */
export type Leaf = string | number | boolean | null

/** Whether a leaf of an event is one of those that a pattern's field wants. */
export type LeafTest = (leaf: Leaf) => boolean

/** What is wrong with an event pattern, in the words of EventBridge's rule engine. */
export class PatternError extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'PatternError'
  }
}

/**
 * The names of the operators, which cannot be field names inside `$or`.
 * Source: https://github.com/aws/event-ruler, Constants.RESERVED_FIELD_NAMES_IN_OR_RELATIONSHIP
 */
export const OPERATORS: ReadonlySet<string> = new Set([
  ...['exactly', 'prefix', 'suffix', 'anything-but', 'numeric', 'cidr', 'exists', 'equals-ignore-case', 'wildcard'],
])

/** Numbers that EventBridge compares lie between -5e9 and 5e9. Source: event-ruler's README. */
const MAX_NUMBER = 5e9

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(test: (text: string) => boolean): LeafTest {
  return (leaf) => typeof leaf === 'string' && test(leaf)
}

function textOf(value: unknown, operator: string): string {
  if (typeof value !== 'string') throw new PatternError(`${operator} match pattern must be a string`)
  return value
}

function onlyEntry(expression: Record<string, unknown>): [string, unknown] {
  const entries = Object.entries(expression)
  const first = entries[0]
  if (!first) throw new PatternError('Match expression name not found')
  if (entries.length > 1) throw new PatternError('Only one key allowed in match expression')
  return first
}

/** Prefix or suffix, also as `{"equals-ignore-case": text}`. */
function affix(operator: 'prefix' | 'suffix', value: unknown): LeafTest {
  const ends = (text: string, part: string) => (operator === 'prefix' ? text.startsWith(part) : text.endsWith(part))
  if (!isObject(value)) {
    const part = textOf(value, operator)
    return isText((text) => ends(text, part))
  }
  const [name, inner] = onlyEntry(value)
  if (name !== 'equals-ignore-case') throw new PatternError(`Unsupported ${operator} pattern: ${name}`)
  const part = textOf(inner, 'equals-ignore-case').toLowerCase()
  return isText((text) => ends(text.toLowerCase(), part))
}

function ignoringCase(value: unknown): LeafTest {
  const wanted = textOf(value, 'equals-ignore-case').toLowerCase()
  return isText((text) => text.toLowerCase() === wanted)
}

/** `*` is any run of characters; `\*` and `\\` are the characters themselves. */
function wildcard(value: unknown): LeafTest {
  const pattern = textOf(value, 'wildcard')
  let expression = ''
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern.charAt(at)
    if (character === '\\') {
      at += 1
      const escaped = pattern.charAt(at)
      if (escaped !== '*' && escaped !== '\\') throw new PatternError(`Invalid escape character at pos ${at}`)
      expression += `\\${escaped}`
    } else if (character === '*') {
      if (pattern.charAt(at + 1) === '*') throw new PatternError(`Consecutive wildcard characters at pos ${at}`)
      expression += '[^]*'
    } else expression += character.replace(/[.+?^${}()|[\]/]/, '\\$&')
  }
  const compiled = new RegExp(`^${expression}$`, 'u')
  return isText((text) => compiled.test(text))
}

function numberOf(value: unknown, operator: string): number {
  if (typeof value !== 'number')
    throw new PatternError(
      operator === '=' ? 'Value of equals must be numeric' : `Value of ${operator} must be numeric`,
    )
  if (Math.abs(value) > MAX_NUMBER) throw new PatternError('Value must be between -5.0E9 and 5.0E9, inclusive')
  return value
}

const COMPARE: Readonly<Record<string, (left: number, right: number) => boolean>> = {
  '=': (left, right) => left === right,
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
}

/** `[operator, number]`, or a range that begins with `>` or `>=` and ends with `<` or `<=`. */
function numeric(value: unknown): LeafTest {
  if (!Array.isArray(value)) throw new PatternError('Value of numeric must be an array.')
  const [operator, bound, second, secondBound, ...more] = value as unknown[]
  if (typeof operator !== 'string') throw new PatternError(`Invalid member in numeric match: ${String(operator)}`)
  const compare = COMPARE[operator]
  if (!compare) throw new PatternError(`Unrecognized numeric range operator: ${operator}`)
  const right = numberOf(bound, operator)
  if (value.length === 2) return (leaf) => typeof leaf === 'number' && compare(leaf, right)

  if (!operator.startsWith('>')) throw new PatternError('Too many elements in numeric expression')
  if (typeof second !== 'string') throw new PatternError(`Bad value in numeric range: ${String(second)}`)
  const compareSecond = second.startsWith('<') ? COMPARE[second] : undefined
  if (!compareSecond) throw new PatternError(`Bad numeric range operator: ${second}`)
  const top = numberOf(secondBound, second)
  if (more.length > 0) throw new PatternError('Too many terms in numeric range expression')
  if (top <= right) throw new PatternError('Bottom must be less than top')
  return (leaf) => typeof leaf === 'number' && compare(leaf, right) && compareSecond(leaf, top)
}

function cidr(value: unknown): LeafTest {
  const [address = '', bits = '', ...more] = textOf(value, 'cidr').split('/')
  const version = isIP(address)
  if (bits === '' || more.length > 0) throw new PatternError("Malformed CIDR, one '/' required")
  if (version === 0) throw new PatternError(`Malformed CIDR, nonstandard IP address: ${address}`)
  if (!/^\d{1,3}$/.test(bits)) throw new PatternError('Malformed CIDR, mask bits must be an integer')
  const most = version === 4 ? 32 : 128
  if (Number(bits) > most) throw new PatternError(`Malformed CIDR, mask bits must not exceed ${most}`)
  const range = new BlockList()
  range.addSubnet(address, Number(bits), version === 4 ? 'ipv4' : 'ipv6')
  return isText((text) => {
    const found = isIP(text)
    return found !== 0 && range.check(text, found === 4 ? 'ipv4' : 'ipv6')
  })
}

/** Everything that the inner test does not want, whatever its type. */
function anythingBut(value: unknown): LeafTest {
  const none =
    (tests: readonly LeafTest[]): LeafTest =>
    (leaf) =>
      tests.every((test) => !test(leaf))
  if (isObject(value)) {
    const [name, inner] = onlyEntry(value)
    const compile = ANYTHING_BUT[name]
    if (!compile) throw new PatternError(`Unsupported anything-but pattern: ${name}`)
    const items = Array.isArray(inner) ? (inner as unknown[]) : [inner]
    if (items.length === 0 || items.includes('')) throw new PatternError('Null prefix/suffix not allowed')
    return none(items.map((item) => compile(item)))
  }
  if (!Array.isArray(value) && typeof value !== 'string' && typeof value !== 'number')
    throw new PatternError('Value of anything-but must be an array or single string/number value.')
  const items = Array.isArray(value) ? (value as unknown[]) : [value]
  if (items.some((item) => typeof item !== 'string' && typeof item !== 'number'))
    throw new PatternError('Inside anything but list, start|null|boolean is not supported.')
  if (new Set(items.map((item) => typeof item)).size !== 1)
    throw new PatternError(
      'Inside anything but list, either all values are number or string, mixed type is not supported',
    )
  return (leaf) => !items.includes(leaf)
}

/** What anything-but can be applied to; each also takes a list. */
const ANYTHING_BUT: Readonly<Record<string, (value: unknown) => LeafTest>> = {
  prefix: (value) => affix('prefix', value),
  suffix: (value) => affix('suffix', value),
  'equals-ignore-case': ignoringCase,
  wildcard,
}

/** What a field wants: tests for leaves that are there, and whether it also wants the field to be absent. */
export interface FieldTest {
  readonly leaf: LeafTest
  readonly absent: boolean
}

/** Compiles one member of a field's array. Throws `PatternError`. */
export function compileExpression(expression: unknown): FieldTest {
  if (Array.isArray(expression)) throw new PatternError('Match value must be String, number, true, false, or null')
  if (!isObject(expression)) return { leaf: (leaf) => leaf === expression, absent: false }
  const [name, value] = onlyEntry(expression)
  switch (name) {
    case 'exists':
      if (typeof value !== 'boolean') throw new PatternError('exists match pattern must be either true or false.')
      return { leaf: () => value, absent: !value }
    case 'exactly': {
      const text = textOf(value, 'exact')
      return { leaf: (leaf) => leaf === text, absent: false }
    }
    case 'prefix':
    case 'suffix':
      return { leaf: affix(name, value), absent: false }
    case 'equals-ignore-case':
      return { leaf: ignoringCase(value), absent: false }
    case 'wildcard':
      return { leaf: wildcard(value), absent: false }
    case 'numeric':
      return { leaf: numeric(value), absent: false }
    case 'cidr':
      return { leaf: cidr(value), absent: false }
    case 'anything-but':
      return { leaf: anythingBut(value), absent: false }
    default:
      throw new PatternError(`Unrecognized match type ${name}`)
  }
}
