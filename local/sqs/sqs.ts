import { join } from 'node:path'
import type { OnRequest } from '../common/aws-call.ts'
import { createAwsJsonServer } from '../common/aws-json-server.ts'
import { refuse } from './errors.ts'
import {
  type InvokeFunction,
  type MappingConfiguration,
  mappingConfiguration,
  type RunningMapping,
  startMapping,
} from './event-source-mapping.ts'
import type { NewMessage } from './new-message.ts'
import { sqsOperations } from './operations.ts'
import { createQueue, type Queue } from './queue.ts'
import { queueConfiguration, queuePath, type TemplateResource } from './queue-configuration.ts'
import { openQueueLog } from './queue-log.ts'

/** What `createSqs` takes. */
export interface SqsOptions {
  /** Where `sqs.log` is kept; in memory only when undefined. */
  readonly stateDir?: string
  /** Invokes the functions of event source mappings. Without it the template's mappings rest. */
  readonly invoke?: InvokeFunction
  /** Told of each batch that failed, in whole or in part; default: standard error. */
  readonly onMappingFailure?: (mapping: MappingConfiguration, reason: unknown) => void
  readonly onRequest?: OnRequest
  readonly port?: number
  /** Told of what should never happen, such as a log that cannot be written. Default: standard error. */
  readonly onDefect?: (error: unknown) => void
}

/** A running Amazon SQS endpoint. */
export interface Sqs {
  /**
   * The value for `AWS_ENDPOINT_URL_SQS`. SDK clients send to the host of the queue URL, so the template's queue URLs
   * must begin with it: `${url}/000000000000/<name>`.
   */
  readonly url: string
  /**
   * Takes in the template's `AWS::SQS::Queue` and `AWS::Lambda::EventSourceMapping`; others are passed over. It is a step
   * of its own because queue URLs in the template are resolved with `url`.
   */
  define(resources: readonly TemplateResource[]): void
  /** Sends as a service such as EventBridge does. Throws QueueDoesNotExist. */
  send(queueArn: string, message: NewMessage): Promise<void>
  /** A queue by name, ARN or URL, to look at in tests. Throws QueueDoesNotExist. */
  queue(reference: string): Queue
  close(): Promise<void>
}

/** Starts an Amazon SQS endpoint; messages, delays and receive counts survive a restart when there is a `stateDir`. */
export async function createSqs(options: SqsOptions = {}): Promise<Sqs> {
  const log = await openQueueLog(options.stateDir === undefined ? undefined : join(options.stateDir, 'sqs.log'))
  const onDefect = options.onDefect ?? ((error: unknown) => console.error('The local sqs failed:', error))
  const queues = new Map<string, Queue>()
  const mappings: RunningMapping[] = []
  let sequence = BigInt(Date.now()) * 1_000_000n

  function find(reference: string | undefined): Queue {
    const queue = queues.get((reference ?? '').split(/[:/]/).at(-1) ?? '')
    if (queue) return queue
    return refuse('QueueDoesNotExist', 'The specified queue does not exist.', 'AWS.SimpleQueueService.NonExistentQueue')
  }

  const server = await createAwsJsonServer({
    services: [
      {
        name: 'sqs',
        target: 'AmazonSQS',
        version: '1.0',
        errorPrefix: 'com.amazonaws.sqs#',
        operations: sqsOperations({
          queueOf: find,
          queueNamed: find,
          urlOf: (name) => `${server.url}${queuePath(name)}`,
        }),
      },
    ],
    onRequest: options.onRequest,
    port: options.port,
    onDefect: (_call, error) => onDefect(error),
  })

  return {
    url: server.url,
    define(resources) {
      for (const resource of resources) {
        if (resource.type !== 'AWS::SQS::Queue') continue
        const configuration = queueConfiguration(resource)
        const queue = createQueue(configuration, log.messages.get(configuration.name) ?? [], {
          log,
          now: Date.now,
          deadLetterQueue: (arn) => queues.get(arn.split(':').at(-1) ?? ''),
          nextSequence: () => {
            sequence += 1n
            return sequence
          },
          onDefect,
        })
        queues.set(configuration.name, queue)
      }
      for (const resource of resources) {
        if (resource.type !== 'AWS::Lambda::EventSourceMapping') continue
        const mapping = mappingConfiguration(resource)
        if (mapping && options.invoke)
          mappings.push(
            startMapping(mapping, find(mapping.queueArn), options.invoke, options.onMappingFailure ?? reportFailure),
          )
      }
    },
    async send(queueArn, message) {
      await find(queueArn).send(message)
    },
    queue: find,
    async close() {
      const closing = Promise.all(mappings.map((mapping) => mapping.close()))
      for (const queue of queues.values()) queue.close()
      await Promise.all([closing, server.close()])
      await log.close()
    },
  }
}

function reportFailure(mapping: MappingConfiguration, reason: unknown): void {
  const message = reason instanceof Error ? reason.message : String(reason)
  console.error(`The event source mapping ${mapping.logicalId} (${mapping.functionName}): ${message}`)
}
