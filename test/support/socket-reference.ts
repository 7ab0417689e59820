/** The socket reference of docs/realtime.md, written from the contracts. */
import * as z from 'zod'
import { clientEvents, serverEvents } from '../../shared/contracts/socket-events.ts'

/** The parts of JSON Schema that zod writes for these contracts. */
interface Schema {
  readonly type?: string
  readonly description?: string
  readonly format?: string
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
}

/** Fields whose shape stands elsewhere: in the description of the HTTP API, and at the event of that name. */
const NAMED: Readonly<Record<string, string>> = { agent: 'Agent of GET /api/agents', messages: '[chat-message, …]' }

function shapeOf(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map(shapeOf).join(' or ')
  if (schema.enum) return schema.enum.map(String).join(' | ')
  if (schema.items) return `[${shapeOf(schema.items)}, …]`
  if (schema.properties) {
    const required = new Set(schema.required)
    const fields = Object.entries(schema.properties).map(
      ([name, field]) => `${name}${required.has(name) ? '' : '?'}: ${NAMED[name] ?? shapeOf(field)}`,
    )
    return `{ ${fields.join(', ')} }`
  }
  const bounds = schema.type === 'string' ? schema.maxLength : boundsOf(schema)
  return [schema.format ?? schema.type ?? 'anything', ...(bounds === undefined ? [] : [`≤ ${bounds}`])].join(' ')
}

const boundsOf = ({ maximum }: Schema): number | undefined =>
  maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum

const rowsOf = (events: Readonly<Record<string, z.ZodType>>): string[] =>
  Object.entries(events).map(([name, event]) => {
    const schema = z.toJSONSchema(event, { io: 'input' }) as Schema
    return `- **\`${name}\`** \`${shapeOf(schema)}\`\n  ${schema.description ?? ''}`
  })

/** Markdown: every event in both directions with its fields and what it is for. */
export const socketReference = (): string =>
  ['### From the client', '', ...rowsOf(clientEvents), '', '### To the client', '', ...rowsOf(serverEvents)].join('\n')

const BEGIN = '<!-- socket-events -->\n'
const END = '\n<!-- /socket-events -->'

/** The page with its reference written anew. @throws when the page has no place for it */
export function withSocketReference(page: string): string {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END, from + BEGIN.length - 1)
  if (from === -1 || to === -1) throw new Error('docs/realtime.md has lost the marks of its socket reference')
  return `${page.slice(0, from + BEGIN.length)}\n${socketReference()}\n${page.slice(to)}`
}
