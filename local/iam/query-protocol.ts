import type { AwsOperation } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import type { AwsProtocol } from '../common/aws-server.ts'

/**
 * The AWS Query protocol: a form with `Action`, lists as `Tags.member.1.Key`; answers and errors in XML. Values of the input
 * are texts, lists and objects; the operation converts numbers and booleans.
 */
export function awsQuery(options: {
  readonly service: string
  readonly version: string
  readonly namespace: string
  readonly operations: Readonly<Record<string, AwsOperation>>
}): AwsProtocol {
  const { service, version, namespace, operations } = options
  return {
    codes: { tooLarge: 'RequestEntityTooLarge', internal: 'InternalFailure' },
    find(_request, body) {
      const form = new URLSearchParams(body.toString('utf8'))
      const name = form.get('Action') ?? ''
      const run = Object.hasOwn(operations, name) ? operations[name] : undefined
      if (!run || form.get('Version') !== version)
        throw new AwsError('InvalidAction', `The local endpoint does not carry out ${name} (${form.get('Version')})`)
      const input = inputOf(form)
      return { service, name, input, run: (call) => run(input, call) }
    },
    answer: ({ name }, output, { requestId }) => ({
      headers: { 'content-type': 'text/xml' },
      body:
        `<${name}Response xmlns="${namespace}">` +
        (output === undefined ? '' : element(`${name}Result`, output)) +
        `<ResponseMetadata>${element('RequestId', requestId)}</ResponseMetadata></${name}Response>`,
    }),
    refuse: ({ code, message, statusCode, fields }, { requestId }) => ({
      headers: { 'content-type': 'text/xml' },
      body:
        `<ErrorResponse xmlns="${namespace}">` +
        element('Error', { Type: statusCode < 500 ? 'Sender' : 'Receiver', Code: code, Message: message, ...fields }) +
        `${element('RequestId', requestId)}</ErrorResponse>`,
    }),
  }
}

/** Longest list that a call may name; IAM's longest, tags, has 50. */
const MAX_MEMBERS = 1_000

function inputOf(form: URLSearchParams): Record<string, unknown> {
  const input: Record<string, unknown> = Object.create(null)
  for (const [key, value] of form) {
    if (key === 'Action' || key === 'Version') continue
    place(input, key.split('.'), value)
  }
  return input
}

/** Puts a value where its key says: `['Tags', 'member', '1', 'Key']` is `Tags[0].Key`. */
function place(into: Record<string, unknown>, [name = '', next, index, ...rest]: string[], value: string): void {
  if (next === undefined) {
    into[name] = value
    return
  }
  if (next === 'member') {
    const at = Number(index)
    if (!Number.isInteger(at) || at < 1 || at > MAX_MEMBERS)
      throw new AwsError('MalformedInput', `${name}.member.${index} is not a place in a list`)
    const list = Array.isArray(into[name]) ? (into[name] as unknown[]) : []
    into[name] = list
    if (rest.length === 0) list[at - 1] = value
    else {
      const member = (list[at - 1] ?? Object.create(null)) as Record<string, unknown>
      list[at - 1] = member
      place(member, rest, value)
    }
    return
  }
  const inner = (into[name] ?? Object.create(null)) as Record<string, unknown>
  into[name] = inner
  place(inner, index === undefined ? [next] : [next, index, ...rest], value)
}

/** A value as XML; what is undefined is left out, a list's items are `member`, a Date is ISO text. */
function element(name: string, value: unknown): string {
  if (value === undefined) return ''
  return `<${name}>${content(value)}</${name}>`
}

function content(value: unknown): string {
  if (value instanceof Date) return `${value.toISOString().slice(0, 19)}Z`
  if (Array.isArray(value)) return value.map((item) => element('member', item)).join('')
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, inner]) => element(name, inner))
      .join('')
  return String(value).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
