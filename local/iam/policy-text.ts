/** The values of a request's condition keys, by the key's lower-case name; a key that is not there has no value. */
export type Context = Readonly<Record<string, string>>

/** A stretch of a policy's text: as written, or the value of a variable, in which `*` and `?` are themselves. */
export interface Stretch {
  readonly text: string
  readonly literal?: boolean
}

/** `${key}`, `${key, 'default'}`, or one of the escapes `${*}`, `${?}`, `${$}`. */
const VARIABLE = /\$\{([^}]*)\}/g

/**
 * Puts in the values of policy variables. Undefined when one has neither a value nor a default: then the text matches
 * nothing. `context` undefined leaves the text as it is.
 */
export function resolveVariables(text: string, context: Context | undefined): Stretch[] | undefined {
  if (!context) return [{ text }]
  const stretches: Stretch[] = []
  let end = 0
  for (const match of text.matchAll(VARIABLE)) {
    stretches.push({ text: text.slice(end, match.index) })
    end = match.index + match[0].length
    const value = variableValue((match[1] ?? '').trim(), context)
    if (value === undefined) return undefined
    stretches.push({ text: value, literal: true })
  }
  stretches.push({ text: text.slice(end) })
  return stretches
}

function variableValue(expression: string, context: Context): string | undefined {
  if (['*', '?', '$'].includes(expression)) return expression
  const [, name = '', fallback] = /^([^,]*?)\s*(?:,\s*'([^']*)')?$/.exec(expression) ?? []
  return context[name.toLowerCase()] ?? fallback
}

/** Whether a text is what the stretches say, with `*` for any characters and `?` for any one. */
export function matchesText(stretches: readonly Stretch[], value: string): boolean {
  const pattern = stretches.map(({ text, literal }) => (literal ? quoted(text) : wildcards(text))).join('')
  return new RegExp(`^${pattern}$`, 's').test(value)
}

/** Whether a text is exactly what the stretches say. */
export function equalsText(stretches: readonly Stretch[], value: string): boolean {
  return stretches.map(({ text }) => text).join('') === value
}

/**
 * Whether an ARN matches: each of the six parts between colons on its own, with wildcards within a part. `ArnEquals` and
 * `ArnLike` are the same. Source: IAM User Guide, reference_policies_elements_condition_operators.html#Conditions_ARN
 */
export function matchesArn(stretches: readonly Stretch[], value: string): boolean {
  const pattern = stretches.map(({ text, literal }) => (literal ? quoted(text) : wildcards(text, '[^:]'))).join('')
  const parts = pattern.split(':')
  // A wildcard stays within its part, except in the last one, the resource, which may have colons of its own.
  const last = parts.slice(5).join(':').replaceAll('[^:]', '.')
  return new RegExp(`^${[...parts.slice(0, 5), last].join(':')}$`, 's').test(value)
}

function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

function wildcards(text: string, any = '.'): string {
  return text
    .split(/([*?])/)
    .map((part) => (part === '*' ? `${any}*` : part === '?' ? any : quoted(part)))
    .join('')
}
