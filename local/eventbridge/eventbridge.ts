import { randomUUID } from 'node:crypto'
import type { OnRequest } from '../common/aws-call.ts'
import { createAwsJsonServer } from '../common/aws-json-server.ts'
import { createFaults, type Faults } from '../faults/faults.ts'
import { type BackOff, type Carriers, createDelivery, type DeliveryFailure } from './delivery.ts'
import { type PutEventsEntry, putEvents } from './put-events.ts'
import { busName, type Rule, readRule, scheduledEvent, type TemplateRule } from './rules.ts'
import type { BusEvent } from './target-input.ts'

/** What `createEventBridge` takes. */
export interface EventBridgeOptions {
  /** The template's event buses, rules and schedules; others are passed over. */
  readonly resources: readonly TemplateRule[]
  readonly invoke: Carriers['invoke']
  readonly send: Carriers['send']
  /** Disturbs what comes by PutEvents; a service disturbs its own events before it hands them over. */
  readonly faults?: Faults
  readonly onRequest?: OnRequest
  /** Told of what could not be delivered; default: standard error. */
  readonly onFailure?: (failure: DeliveryFailure) => void
  /** Told of an event for a bus that does not exist, which EventBridge accepts and drops; default: standard error. */
  readonly onUnknownBus?: (bus: string, event: BusEvent) => void
  /** Default 1 s, doubled up to 60 s. */
  readonly backOff?: Partial<BackOff>
  /** How many times faster than the clock schedules run; 0 lets them rest, so that only `trigger` runs them. Default 1. */
  readonly scheduleRate?: number
  readonly port?: number
}

/** A running Amazon EventBridge endpoint. */
export interface EventBridge {
  /** The value for `AWS_ENDPOINT_URL_EVENTBRIDGE`. */
  readonly url: string
  /** Takes an event of an AWS service, such as ECS, onto the default bus. */
  putServiceEvent(event: BusEvent): void
  /** Runs a scheduled rule's targets now. Throws when no rule or schedule has this name. */
  trigger(ruleName: string): void
  /** Resolves when no event is being delivered or waits for another try. */
  idle(): Promise<void>
  close(): Promise<void>
}

/** Node's timers take no more; a later time is reached in several steps. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Starts an Amazon EventBridge endpoint with the template's rules. Throws when a rule cannot be read. Events live in
 * memory: what waits for another try is given up when the runtime closes.
 */
export async function createEventBridge(options: EventBridgeOptions): Promise<EventBridge> {
  const startedAt = Date.now()
  const rate = options.scheduleRate ?? 1
  const faults = options.faults ?? createFaults()
  const rules = options.resources
    .map((resource) => readRule(resource, startedAt))
    .filter((rule): rule is Rule => rule !== undefined)
  const buses = new Set([
    'default',
    ...options.resources
      .filter(({ type }) => type === 'AWS::Events::EventBus')
      .map(({ ref, properties }) => busName((properties.Name as string | undefined) ?? ref)),
  ])
  const delivery = createDelivery({
    carriers: { invoke: options.invoke, send: options.send, putOnBus: (bus, event) => route(busName(bus), event) },
    backOff: { firstMs: 1_000, longestMs: 60_000, ...options.backOff },
    random: faults.random,
    now: Date.now,
    onFailure: options.onFailure ?? reportFailure,
  })
  const timers = new Map<Rule, NodeJS.Timeout>()
  let closed = false

  function route(bus: string, event: BusEvent): void {
    if (closed) return
    if (!buses.has(bus)) (options.onUnknownBus ?? reportUnknownBus)(bus, event)
    for (const rule of rules)
      if (rule.bus === bus && rule.enabled && rule.matches?.(event))
        for (const target of rule.targets) delivery.deliver(rule, target, event)
  }

  function run(rule: Rule): void {
    const event = scheduledEvent(rule, randomUUID(), Date.now())
    for (const target of rule.targets) delivery.deliver(rule, target, event)
  }

  /** The clock by which schedules run. */
  const scheduleTime = () => startedAt + (Date.now() - startedAt) * rate

  function arm(rule: Rule, after: number): void {
    const next = rule.schedule?.(after)
    if (next === undefined) return
    const left = Math.max(0, (next - scheduleTime()) / rate)
    const timer = setTimeout(
      () => {
        if (scheduleTime() < next) return arm(rule, after)
        run(rule)
        arm(rule, Math.max(next, scheduleTime()))
      },
      Math.min(Math.ceil(left), MAX_TIMER_MS),
    )
    timer.unref()
    timers.set(rule, timer)
  }

  const server = await createAwsJsonServer({
    services: [
      {
        name: 'eventbridge',
        target: 'AWSEvents',
        version: '1.1',
        operations: {
          PutEvents: ({ Entries }: { Entries?: PutEventsEntry[] }) =>
            putEvents(Entries, Date.now(), (bus, event) =>
              faults.disturbEvent(event, (arrived) => route(bus, arrived)),
            ),
        },
      },
    ],
    onRequest: options.onRequest,
    port: options.port,
  })
  if (rate > 0) for (const rule of rules) if (rule.enabled) arm(rule, startedAt)

  return {
    url: server.url,
    putServiceEvent: (event) => route('default', event),
    trigger(ruleName) {
      const rule = rules.find(({ name, schedule }) => name === ruleName && schedule !== undefined)
      if (!rule) throw new Error(`No scheduled rule is named ${ruleName}`)
      run(rule)
    },
    idle: delivery.idle,
    async close() {
      closed = true
      for (const timer of timers.values()) clearTimeout(timer)
      await server.close()
      await delivery.close()
    },
  }
}

function reportFailure({ rule, target, attempts, error }: DeliveryFailure): void {
  console.error(`EventBridge rule ${rule} could not reach ${target} (${attempts} attempts): ${error.message}`)
}

function reportUnknownBus(bus: string, event: BusEvent): void {
  console.error(`An event ${event['detail-type']} was put on the event bus ${bus}, which does not exist; it is dropped`)
}
