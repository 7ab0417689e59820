import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQSClient } from '@aws-sdk/client-sqs'
import { onTestFinished } from 'vitest'
import type { TemplateResource } from '../../../../local/sqs/queue-configuration.ts'
import { createSqs, type Sqs, type SqsOptions } from '../../../../local/sqs/sqs.ts'

/** A queue of the template. */
export function queue(name: string, properties: Record<string, unknown> = {}): TemplateResource {
  return {
    type: 'AWS::SQS::Queue',
    logicalId: name,
    ref: `http://127.0.0.1:1/000000000000/${name}`,
    arn: arnOf(name),
    properties: { QueueName: name, ...properties },
  }
}

/** An event source mapping of the template, to the function `worker`. */
export function mapping(name: string, properties: Record<string, unknown> = {}): TemplateResource {
  return {
    type: 'AWS::Lambda::EventSourceMapping',
    logicalId: 'Mapping',
    ref: 'mapping',
    arn: '',
    properties: { EventSourceArn: arnOf(name), FunctionName: 'worker', ...properties },
  }
}

export function arnOf(name: string): string {
  return `arn:aws:sqs:us-east-1:000000000000:${name}`
}

/** A started endpoint with a client; closed when the test ends. */
export async function startSqs(
  resources: readonly TemplateResource[],
  options: SqsOptions = {},
): Promise<{ sqs: Sqs; client: SQSClient; urlOf: (name: string) => string }> {
  const sqs = await createSqs(options)
  onTestFinished(() => sqs.close())
  sqs.define(resources)
  const client = new SQSClient({
    endpoint: sqs.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  return { sqs, client, urlOf: (name) => `${sqs.url}/000000000000/${name}` }
}

/** A fresh folder that goes with the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sqs-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}
