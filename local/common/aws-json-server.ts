import type { IncomingMessage } from 'node:http'
import type { AwsOperation } from './aws-call.ts'
import { AwsError } from './aws-error.ts'
import { type AwsProtocol, type AwsServer, type AwsServerOptions, createAwsServer } from './aws-server.ts'
import { jsonInput } from './json-input.ts'

/** One AWS service behind the JSON protocols. */
export interface AwsJsonService {
  /** Handed to `onRequest`, for example `ecs`. */
  readonly name: string
  /** The part of `X-Amz-Target` before the dot, for example `AmazonEC2ContainerServiceV20141113`. */
  readonly target: string
  /** The protocol's version, which names the content type: DynamoDB and SQS speak 1.0, most others 1.1. */
  readonly version: '1.0' | '1.1'
  /** Put before the code in `__type`, for example `com.amazonaws.dynamodb.v20120810#`. */
  readonly errorPrefix?: string
  readonly operations: Readonly<Record<string, AwsOperation>>
}

/** What `createAwsJsonServer` takes; requests may have 16 MB unless it says otherwise (DynamoDB's batch limit). */
export interface AwsJsonServerOptions extends Omit<AwsServerOptions, 'protocol'> {
  readonly services: readonly AwsJsonService[]
}

const DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024

/**
 * Serves AWS services that speak AWS JSON 1.0 or 1.1, on loopback. All clients of SDK v3 that this project uses send
 * these protocols (DynamoDB and SQS 1.0; ECS, EventBridge and Secrets Manager 1.1), or the two of `rest-json.ts` and
 * `query-protocol.ts`; none sends Smithy RPC v2 CBOR.
 */
export function createAwsJsonServer({ services, ...options }: AwsJsonServerOptions): Promise<AwsServer> {
  return createAwsServer({ maxBodyBytes: DEFAULT_MAX_BODY_BYTES, ...options, protocol: awsJson(services) })
}

function awsJson(services: readonly AwsJsonService[]): AwsProtocol {
  const byTarget = new Map(services.map((service) => [service.target, service]))
  const asked = (request: IncomingMessage) => {
    const [target = '', operation = ''] = String(request.headers['x-amz-target'] ?? '').split('.')
    return { service: byTarget.get(target), operation }
  }
  const contentType = (service: AwsJsonService | undefined) => `application/x-amz-json-${service?.version ?? '1.1'}`
  return {
    codes: { tooLarge: 'RequestEntityTooLargeException', internal: 'InternalServerError' },
    find(request, body) {
      const { service, operation } = asked(request)
      const run = service && Object.hasOwn(service.operations, operation) ? service.operations[operation] : undefined
      if (!service || !run) throw unknownOperation(request)
      const input = jsonInput(body)
      return { service: service.name, name: operation, input, run: (call) => run(input, call) }
    },
    answer: (_found, output, { request }) => ({
      headers: { 'content-type': contentType(asked(request).service) },
      body: JSON.stringify(output ?? {}),
    }),
    refuse({ code, message, fields, headers }, { request }) {
      const { service } = asked(request)
      return {
        headers: { 'content-type': contentType(service), ...headers },
        body: JSON.stringify({ __type: `${service?.errorPrefix ?? ''}${code}`, message, ...fields }),
      }
    },
  }
}

function unknownOperation(request: IncomingMessage): AwsError {
  const protocol = request.headers['smithy-protocol']
  const asked = protocol ? `${request.url} (${protocol})` : String(request.headers['x-amz-target'] ?? request.url)
  return new AwsError('UnknownOperationException', `The local endpoint does not carry out ${asked}`)
}
