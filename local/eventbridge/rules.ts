import { ACCOUNT_ID, arn, REGION } from '../assembly/account.ts'
import type { Resource } from '../assembly/cloud-assembly.ts'
import { compilePattern, type EventTest } from './event-pattern.ts'
import { compileSchedule, type Schedule } from './schedule-expression.ts'
import type { InputSettings } from './target-input.ts'

/** A resource of the template, as far as this part reads it. */
export type TemplateRule = Pick<Resource, 'type' | 'logicalId' | 'ref' | 'properties'>

/** Where a rule sends events. */
export interface Target {
  readonly arn: string
  readonly input: InputSettings
  readonly maximumRetryAttempts: number
  readonly maximumEventAgeMs: number
  /** ARN of the queue for what could not be delivered. */
  readonly deadLetterArn: string | undefined
  readonly messageGroupId: string | undefined
}

/** A rule of an event bus, or a schedule of EventBridge Scheduler, which is a rule without a pattern. */
export interface Rule {
  readonly name: string
  readonly arn: string
  readonly bus: string
  readonly enabled: boolean
  readonly matches: EventTest | undefined
  readonly schedule: Schedule | undefined
  /** `aws.events` for a rule, `aws.scheduler` for a schedule. */
  readonly origin: 'aws.events' | 'aws.scheduler'
  readonly targets: readonly Target[]
}

/** EventBridge's defaults and largest values. Source: the API reference of RetryPolicy. */
const MAX_RETRY_ATTEMPTS = 185
const MAX_EVENT_AGE_SECONDS = 86_400

/** The name of a bus given by name or ARN. */
export function busName(nameOrArn: string | undefined): string {
  return (nameOrArn ?? 'default').replace(/^arn:.*:event-bus\//, '')
}

/** Reads `AWS::Events::Rule` or `AWS::Scheduler::Schedule`; undefined for another type. Throws with the rule's name. */
export function readRule(resource: TemplateRule, startedAt: number): Rule | undefined {
  if (resource.type !== 'AWS::Events::Rule' && resource.type !== 'AWS::Scheduler::Schedule') return undefined
  try {
    return resource.type === 'AWS::Events::Rule'
      ? eventRule(resource, startedAt)
      : schedulerSchedule(resource, startedAt)
  } catch (error) {
    throw new Error(`${resource.type} ${resource.logicalId}: ${(error as Error).message}`, { cause: error })
  }
}

function eventRule({ ref, properties }: TemplateRule, startedAt: number): Rule {
  const bus = busName(properties.EventBusName as string | undefined)
  const name = (properties.Name as string | undefined) ?? ref.split('|').at(-1) ?? ref
  const pattern = properties.EventPattern
  const expression = properties.ScheduleExpression as string | undefined
  if (pattern === undefined && expression === undefined)
    throw new Error('has neither EventPattern nor ScheduleExpression')
  if (expression !== undefined && bus !== 'default')
    throw new Error('ScheduleExpression is supported only on the default event bus.')
  const targets = (properties.Targets as Record<string, unknown>[] | undefined) ?? []
  return {
    name,
    arn: arn('events', `rule/${bus === 'default' ? name : `${bus}/${name}`}`),
    bus,
    enabled: properties.State !== 'DISABLED',
    matches: pattern === undefined ? undefined : compilePattern(pattern),
    schedule: expression === undefined ? undefined : compileSchedule(expression, startedAt),
    origin: 'aws.events',
    targets: targets.map(readTarget),
  }
}

function schedulerSchedule({ ref, properties }: TemplateRule, startedAt: number): Rule {
  const name = (properties.Name as string | undefined) ?? ref
  return {
    name,
    arn: arn('scheduler', `schedule/${(properties.GroupName as string | undefined) ?? 'default'}/${name}`),
    bus: 'default',
    enabled: properties.State !== 'DISABLED',
    matches: undefined,
    schedule: compileSchedule(String(properties.ScheduleExpression), startedAt),
    origin: 'aws.scheduler',
    targets: [readTarget((properties.Target as Record<string, unknown> | undefined) ?? {})],
  }
}

function readTarget(target: Record<string, unknown>): Target {
  const retry = (target.RetryPolicy as Record<string, unknown> | undefined) ?? {}
  const deadLetter = target.DeadLetterConfig as { Arn?: string } | undefined
  const sqs = target.SqsParameters as { MessageGroupId?: string } | undefined
  const { Input, InputPath, InputTransformer } = target as InputSettings
  return {
    arn: String(target.Arn),
    input: {
      ...(Input === undefined ? {} : { Input }),
      ...(InputPath === undefined ? {} : { InputPath }),
      ...(InputTransformer === undefined ? {} : { InputTransformer }),
    },
    maximumRetryAttempts: Number(retry.MaximumRetryAttempts ?? MAX_RETRY_ATTEMPTS),
    maximumEventAgeMs: Number(retry.MaximumEventAgeInSeconds ?? MAX_EVENT_AGE_SECONDS) * 1_000,
    deadLetterArn: deadLetter?.Arn,
    messageGroupId: sqs?.MessageGroupId,
  }
}

/** The event with which a schedule runs its targets. `detail` of EventBridge Scheduler is a text. */
export function scheduledEvent(rule: Rule, id: string, at: number) {
  return {
    version: '0',
    id,
    'detail-type': 'Scheduled Event',
    source: rule.origin,
    account: ACCOUNT_ID,
    time: `${new Date(at).toISOString().slice(0, 19)}Z`,
    region: REGION,
    resources: [rule.arn],
    detail: rule.origin === 'aws.events' ? {} : '{}',
  }
}
