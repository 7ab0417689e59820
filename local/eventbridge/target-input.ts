/** An event as rules see it. */
export interface BusEvent {
  readonly version: string
  readonly id: string
  readonly 'detail-type': string
  readonly source: string
  readonly account: string
  readonly time: string
  readonly region: string
  readonly resources: readonly string[]
  readonly detail: unknown
}

/** A target's Input, InputPath or InputTransformer; at most one is set. */
export interface InputSettings {
  readonly Input?: string
  readonly InputPath?: string
  readonly InputTransformer?: {
    readonly InputPathsMap?: Readonly<Record<string, string>>
    readonly InputTemplate?: string
  }
}

/** The value at a path such as `$.detail.items[0]['some key']`; undefined when there is none. */
export function valueAt(path: string, event: unknown): unknown {
  if (!path.startsWith('$')) throw new Error(`Not a JSON path: ${path}`)
  let value: unknown = event
  let rest = path.slice(1)
  while (rest !== '') {
    const step = /^\.([^.[\]]+)|^\[(\d+)\]|^\['([^']+)'\]/.exec(rest)
    if (!step) throw new Error(`Not a JSON path: ${path}`)
    const key = step[1] ?? step[2] ?? step[3] ?? ''
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
    rest = rest.slice(step[0].length)
  }
  return value
}

/** What the target gets, as the text that goes over the wire. Throws for a template whose outcome is no JSON. */
export function targetInput(
  settings: InputSettings,
  event: BusEvent,
  rule: { readonly arn: string; readonly name: string },
  now: number,
): string {
  const { Input, InputPath, InputTransformer } = settings
  if (Input !== undefined) return Input
  if (InputPath !== undefined) return JSON.stringify(valueAt(InputPath, event)) ?? 'null'
  const template = InputTransformer?.InputTemplate
  if (template === undefined) return JSON.stringify(event)

  const variables = new Map<string, unknown>([
    ['aws.events.rule-arn', rule.arn],
    ['aws.events.rule-name', rule.name],
    ['aws.events.event', event],
    ['aws.events.event.json', JSON.stringify(event)],
    ['aws.events.event.ingestion-time', new Date(now).toISOString()],
  ])
  for (const [name, path] of Object.entries(InputTransformer?.InputPathsMap ?? {}))
    variables.set(name, valueAt(path, event))
  return fill(template, variables)
}

/**
 * Fills a template. A variable outside quotes becomes JSON, so a text gets quotes; inside quotes it becomes its characters.
 * One whose path leads nowhere becomes nothing inside quotes, and an empty text outside.
 */
function fill(template: string, variables: ReadonlyMap<string, unknown>): string {
  let filled = ''
  let quoted = false
  for (let at = 0; at < template.length; at += 1) {
    const character = template.charAt(at)
    const name = character === '<' ? /^<([^<>\s"]+)>/.exec(template.slice(at))?.[1] : undefined
    if (name !== undefined && variables.has(name)) {
      const value = variables.get(name)
      filled += quoted ? insideQuotes(value) : JSON.stringify(value ?? '')
      at += name.length + 1
      continue
    }
    if (character === '\\' && quoted) {
      filled += character + template.charAt(at + 1)
      at += 1
      continue
    }
    if (character === '"') quoted = !quoted
    filled += character
  }
  try {
    return JSON.stringify(JSON.parse(filled))
  } catch (error) {
    throw new Error(`The input template gives no JSON: ${(error as Error).message}`)
  }
}

function insideQuotes(value: unknown): string {
  if (value === undefined) return ''
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return JSON.stringify(text).slice(1, -1)
}
