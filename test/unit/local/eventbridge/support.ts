import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge'
import { onTestFinished } from 'vitest'
import type { DeliveryFailure } from '../../../../local/eventbridge/delivery.ts'
import { createEventBridge, type EventBridgeOptions } from '../../../../local/eventbridge/eventbridge.ts'
import type { TemplateRule } from '../../../../local/eventbridge/rules.ts'

export const FUNCTION = 'arn:aws:lambda:us-east-1:000000000000:function:worker'
export const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:work'
export const DEAD = 'arn:aws:sqs:us-east-1:000000000000:dead'
export const BUS = 'arn:aws:events:us-east-1:000000000000:event-bus/domain'

const bus: TemplateRule = {
  type: 'AWS::Events::EventBus',
  logicalId: 'Bus',
  ref: 'domain',
  properties: { Name: 'domain' },
}

/** A rule of the template, to the function unless said otherwise. */
export const rule = (properties: Record<string, unknown>): TemplateRule => ({
  type: 'AWS::Events::Rule',
  logicalId: 'Rule',
  ref: 'worker-rule',
  properties: { Name: 'worker-rule', Targets: [{ Id: '0', Arn: FUNCTION }], ...properties },
})

export type Sent = Parameters<EventBridgeOptions['send']>

/** A started endpoint that records what it carries where; closed when the test ends. */
export async function start(resources: TemplateRule[], options: Partial<EventBridgeOptions> = {}) {
  const invoked: unknown[] = []
  const sent: Sent[] = []
  const failures: DeliveryFailure[] = []
  const eventBridge = await createEventBridge({
    resources: [bus, ...resources],
    invoke: async (_arn, event) => invoked.push(event),
    send: async (...message) => sent.push(message),
    onFailure: (failure) => failures.push(failure),
    backOff: { firstMs: 1, longestMs: 2 },
    scheduleRate: 0,
    ...options,
  })
  onTestFinished(() => eventBridge.close())
  const client = new EventBridgeClient({
    endpoint: eventBridge.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  const put = async (...Entries: PutEventsRequestEntry[]) => {
    const result = await client.send(new PutEventsCommand({ Entries }))
    await eventBridge.idle()
    return result
  }
  return { eventBridge, invoked, sent, failures, put }
}

export const ENTRY = {
  Source: 'covibes.agents',
  DetailType: 'status',
  Detail: '{"to":"running"}',
  EventBusName: 'domain',
}
