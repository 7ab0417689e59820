import type { AwsOperation } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import type { AwsProtocol } from '../common/aws-server.ts'
import { jsonInput } from '../common/json-input.ts'

/** An operation of a REST-JSON service: method and path as its Smithy model gives them. */
export interface RestOperation {
  readonly name: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** For example `/2015-02-01/access-points/{AccessPointId}`; a part in braces becomes a member of the input. */
  readonly path: string
  /** Default 200. */
  readonly status?: number
  readonly run: AwsOperation
}

/**
 * The restJson1 protocol: members of the input come from path, query and JSON body; a query member that is given more
 * than once is a list. Errors carry their code in `x-amzn-errortype` and, as EFS writes them, in `ErrorCode` and `Message`.
 */
export function restJson(service: string, operations: readonly RestOperation[]): AwsProtocol {
  const routes = operations.map((operation) => ({ operation, pattern: patternOf(operation.path) }))
  return {
    codes: { tooLarge: 'RequestEntityTooLarge', internal: 'InternalFailure' },
    find(request, body) {
      const url = new URL(request.url ?? '/', 'http://localhost')
      for (const { operation, pattern } of routes) {
        const match = operation.method === request.method ? pattern.exec(url.pathname) : null
        if (!match) continue
        const labels = Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)])
        const input = { ...jsonInput(body), ...queryOf(url.searchParams), ...Object.fromEntries(labels) }
        const found = {
          service,
          name: operation.name,
          input,
          run: (call: Parameters<AwsOperation>[1]) => operation.run(input, call),
        }
        return operation.status === undefined ? found : { ...found, status: operation.status }
      }
      throw new AwsError(
        'UnknownOperationException',
        `The local endpoint does not carry out ${request.method} ${url.pathname}`,
        {
          statusCode: 404,
        },
      )
    },
    answer: (_found, output) => ({
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(output ?? {}),
    }),
    refuse: ({ code, message, fields }) => ({
      headers: { 'content-type': 'application/json', 'x-amzn-errortype': code },
      body: JSON.stringify({ ErrorCode: code, Message: message, ...fields }),
    }),
  }
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}/?$`)
}

function queryOf(query: URLSearchParams): Record<string, unknown> {
  const entries = [...new Set(query.keys())].map((name) => {
    const values = query.getAll(name)
    return [name, values.length === 1 ? values[0] : values]
  })
  return Object.fromEntries(entries) as Record<string, unknown>
}
