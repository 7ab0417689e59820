import type { Json, Template } from './template.ts'

/** What a template's expressions may ask for beyond the template itself. */
export interface Scope {
  readonly template: Template
  /** `Ref` of a resource, parameter or pseudo parameter; undefined for `AWS::NoValue`. Throws when there is none. */
  ref(name: string): unknown
  getAtt(logicalId: string, attribute: string): unknown
  importValue(exportName: string): unknown
  /** Turns a finished string's AWS URLs and dynamic references into local values. */
  localize(value: string): string
}

/** An expression that the local runtime cannot work out, with the path of the property it stands in. */
export class UnresolvedExpression extends Error {
  readonly path: string
  constructor(path: string, reason: string) {
    super(`${path}: ${reason}`)
    this.name = 'UnresolvedExpression'
    this.path = path
  }
}

/** Stands for `AWS::NoValue`: the property, or the list's element, is left out. */
const NO_VALUE = undefined
/** The zones that `Fn::GetAZs` names; the region has six. */
const AVAILABILITY_ZONES = ['us-east-1a', 'us-east-1b', 'us-east-1c', 'us-east-1d', 'us-east-1e', 'us-east-1f']

type Intrinsic = (argument: Json, scope: Scope, path: string) => unknown

/**
 * Resolves a value and everything in it. Strings in the result are final: their AWS URLs have been made local.
 * Throws `UnresolvedExpression` for what it cannot work out.
 */
export function resolveValue(value: Json, scope: Scope, path: string): unknown {
  return mapStrings(evaluate(value, scope, path), (text) => scope.localize(text))
}

/** Whether a condition of the template, given by name or as an expression, holds. */
export function conditionHolds(condition: Json, scope: Scope, path: string): boolean {
  if (typeof condition === 'string') {
    const named = scope.template.Conditions[condition]
    if (named === undefined) throw new UnresolvedExpression(path, `there is no condition ${condition}`)
    return conditionHolds(named, scope, `Conditions.${condition}`)
  }
  const call = intrinsicCall(condition)
  const all = (): boolean[] => listOf(call?.argument, path).map((part) => conditionHolds(part, scope, path))
  switch (call?.name) {
    case 'Condition':
      return conditionHolds(call.argument, scope, path)
    case 'Fn::And':
      return all().every(Boolean)
    case 'Fn::Or':
      return all().some(Boolean)
    case 'Fn::Not':
      return !all()[0]
    case 'Fn::Equals': {
      const [left, right] = listOf(call.argument, path).map((part) => evaluate(part, scope, path))
      return String(left) === String(right)
    }
    default:
      throw new UnresolvedExpression(path, `${JSON.stringify(condition)} is not a condition`)
  }
}

function evaluate(value: Json, scope: Scope, path: string): unknown {
  if (value === null || typeof value !== 'object') return value
  if (isList(value))
    return value.map((part, index) => evaluate(part, scope, `${path}[${index}]`)).filter((part) => part !== NO_VALUE)
  const call = intrinsicCall(value)
  if (call) {
    const intrinsic = INTRINSICS[call.name]
    if (!intrinsic) throw new UnresolvedExpression(path, `${call.name} is not supported by the local runtime`)
    return intrinsic(call.argument, scope, path)
  }
  const resolved: Record<string, unknown> = {}
  for (const [key, part] of Object.entries(value)) {
    const result = evaluate(part, scope, `${path}.${key}`)
    if (result !== NO_VALUE) resolved[key] = result
  }
  return resolved
}

const INTRINSICS: Readonly<Record<string, Intrinsic>> = {
  Ref: (name, scope, path) => within(path, () => scope.ref(text(name, path))),
  'Fn::GetAtt': (argument, scope, path) => {
    const [id = '', ...attribute] =
      typeof argument === 'string' ? argument.split('.') : stringsOf(argument, scope, path)
    return within(path, () => scope.getAtt(id, attribute.join('.')))
  },
  'Fn::Join': (argument, scope, path) => {
    const [separator = '', parts = []] = listOf(argument, path)
    return stringsOf(parts, scope, path).join(text(separator, path))
  },
  'Fn::Sub': (argument, scope, path) => {
    const [template, variables] = isList(argument) ? argument : [argument]
    const own = variables && typeof variables === 'object' && !isList(variables) ? variables : {}
    return text(template, path).replace(/\$\{(!?)([^}]+)\}/g, (whole, literal: string, name: string) => {
      if (literal) return whole.replace('!', '')
      if (Object.hasOwn(own, name)) return String(evaluate(own[name] as Json, scope, path))
      const [id = '', ...attribute] = name.split('.')
      return String(within(path, () => (attribute.length ? scope.getAtt(id, attribute.join('.')) : scope.ref(name))))
    })
  },
  'Fn::ImportValue': (argument, scope, path) =>
    within(path, () => scope.importValue(String(evaluate(argument, scope, path)))),
  'Fn::Select': (argument, scope, path) => {
    const [index = 0, list = []] = listOf(argument, path)
    const values = evaluate(list, scope, path)
    const position = Number(evaluate(index, scope, path))
    if (!Array.isArray(values) || position >= values.length)
      throw new UnresolvedExpression(path, `Fn::Select: there is no element ${position} in ${JSON.stringify(values)}`)
    return values[position]
  },
  'Fn::Split': (argument, scope, path) => {
    const [separator = '', source = ''] = listOf(argument, path)
    return String(evaluate(source, scope, path)).split(text(separator, path))
  },
  'Fn::GetAZs': () => AVAILABILITY_ZONES,
  'Fn::If': (argument, scope, path) => {
    const [condition = null, yes = null, no = null] = listOf(argument, path)
    return evaluate(conditionHolds(condition, scope, path) ? yes : no, scope, path)
  },
  'Fn::FindInMap': (argument, scope, path) => {
    const [map = '', top = '', second = ''] = stringsOf(argument, scope, path)
    const found = scope.template.Mappings[map]?.[top]?.[second]
    if (found === undefined) throw new UnresolvedExpression(path, `there is no mapping ${map}.${top}.${second}`)
    return found
  },
  'Fn::Base64': (argument, scope, path) =>
    Buffer.from(scope.localize(String(evaluate(argument, scope, path)))).toString('base64'),
  'Fn::Length': (argument, scope, path) => (evaluate(argument, scope, path) as unknown[]).length,
  'Fn::ToJsonString': (argument, scope, path) => JSON.stringify(evaluate(argument, scope, path)),
}

/** A one-key object whose key is a function's name; `Condition` alone is also a property of IAM statements. */
function intrinsicCall(value: Json): { name: string; argument: Json } | undefined {
  if (value === null || typeof value !== 'object' || isList(value)) return undefined
  const [[name, argument] = [], another] = Object.entries(value)
  if (name === undefined || argument === undefined || another) return undefined
  const isCall = name === 'Ref' || name.startsWith('Fn::') || (name === 'Condition' && typeof argument === 'string')
  return isCall ? { name, argument } : undefined
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function listOf(value: Json | undefined, path: string): readonly Json[] {
  if (!isList(value)) throw new UnresolvedExpression(path, `${JSON.stringify(value)} should be a list`)
  return value
}

function stringsOf(value: Json, scope: Scope, path: string): string[] {
  const values = evaluate(value, scope, path)
  if (!Array.isArray(values)) throw new UnresolvedExpression(path, `${JSON.stringify(values)} should be a list`)
  return values.map(String)
}

function text(value: Json | undefined, path: string): string {
  if (typeof value !== 'string') throw new UnresolvedExpression(path, `${JSON.stringify(value)} should be a string`)
  return value
}

/** Adds the path to an error that a lower level could not know the path of. */
function within<T>(path: string, resolve: () => T): T {
  try {
    return resolve()
  } catch (error) {
    if (error instanceof UnresolvedExpression) throw error
    throw new UnresolvedExpression(path, (error as Error).message)
  }
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map((part) => mapStrings(part, map))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, mapStrings(part, map)]))
}
