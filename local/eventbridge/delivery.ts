import { AwsError } from '../common/aws-error.ts'
import type { Random } from '../faults/random.ts'
import type { MessageAttributes } from '../sqs/message-attributes.ts'
import type { Rule, Target } from './rules.ts'
import { type BusEvent, targetInput } from './target-input.ts'

/** How targets are reached. Each rejects when the target could not take the event, not when its work fails later. */
export interface Carriers {
  /** Invokes a function asynchronously with a JSON text parsed. */
  readonly invoke: (functionArn: string, event: unknown) => Promise<unknown>
  readonly send: (
    queueArn: string,
    message: { body: string; groupId?: string; attributes?: MessageAttributes },
  ) => Promise<unknown>
  readonly putOnBus: (bus: string, event: BusEvent) => void
}

/** An event that could not be delivered, whether or not a dead-letter queue took it. */
export interface DeliveryFailure {
  readonly rule: string
  readonly target: string
  readonly event: BusEvent
  readonly attempts: number
  readonly error: Error
}

/** Delivers events to targets. */
export interface Delivery {
  deliver(rule: Rule, target: Target, event: BusEvent): void
  /** Resolves when nothing is being delivered or waits for another try. */
  idle(): Promise<void>
  /** Gives up what waits for another try. */
  close(): Promise<void>
}

/** What could not be delivered is tried again at the earliest after this time, doubled each time, up to the longest. */
export interface BackOff {
  readonly firstMs: number
  readonly longestMs: number
}

/** Errors after which EventBridge does not try again. */
const NOT_RETRIED: Readonly<Record<string, string>> = {
  ResourceNotFoundException: 'NO_RESOURCE',
  QueueDoesNotExist: 'NO_RESOURCE',
  AccessDeniedException: 'NO_PERMISSIONS',
}
const RETRIED: Readonly<Record<string, string>> = {
  TooManyRequestsException: 'THROTTLING',
  ThrottlingException: 'THROTTLING',
}

/** Deliveries that wait or run at once; beyond, an event is given up, so that a dead target cannot fill memory. */
const MAX_PENDING = 10_000

/** Makes a deliverer. `now` is the wall clock; `random` spreads the tries. */
export function createDelivery(options: {
  readonly carriers: Carriers
  readonly backOff: BackOff
  readonly random: Random
  readonly now: () => number
  readonly onFailure: (failure: DeliveryFailure) => void
}): Delivery {
  const { carriers, backOff, random, now } = options
  const pending = new Set<Promise<void>>()
  const closing = new AbortController()

  async function carry(rule: Rule, target: Target, event: BusEvent): Promise<unknown> {
    const text = targetInput(target.input, event, rule, now())
    const [, , service] = target.arn.split(':')
    switch (service) {
      case 'lambda':
        return carriers.invoke(target.arn, JSON.parse(text))
      case 'sqs': {
        const { messageGroupId: groupId } = target
        return carriers.send(target.arn, { body: text, ...(groupId === undefined ? {} : { groupId }) })
      }
      case 'events':
        carriers.putOnBus(target.arn, event)
        return
      default:
        throw new AwsError('InvalidTarget', `The local EventBridge does not carry events to ${target.arn}`)
    }
  }

  async function persist(rule: Rule, target: Target, event: BusEvent): Promise<void> {
    const startedAt = now()
    for (let retries = 0; ; retries += 1) {
      try {
        await carry(rule, target, event)
        return
      } catch (error) {
        const reason = error as Error
        const code = reason instanceof AwsError ? reason.code : ''
        const permanent = NOT_RETRIED[code] ?? (code === 'InvalidTarget' ? 'INVALID_PARAMETER' : undefined)
        const wait = waitBefore(retries)
        const exhausted =
          retries >= target.maximumRetryAttempts
            ? 'MaximumRetryAttempts'
            : now() + wait - startedAt > target.maximumEventAgeMs
              ? 'MaximumEventAgeInSeconds'
              : undefined
        if (permanent !== undefined || exhausted !== undefined || closing.signal.aborted) {
          const errorCode = permanent ?? RETRIED[code] ?? 'ERROR_FROM_TARGET'
          return giveUp(rule, target, event, {
            retries,
            errorCode,
            exhausted: permanent ? undefined : exhausted,
            reason,
          })
        }
        await sleep(wait)
      }
    }
  }

  function waitBefore(retries: number): number {
    // Full jitter in the upper half, so that a wait is never nothing.
    return Math.min(backOff.longestMs, backOff.firstMs * 2 ** retries) * (0.5 + random() / 2)
  }

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        closing.signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      closing.signal.addEventListener('abort', end)
      if (closing.signal.aborted) end()
    })
  }

  async function giveUp(
    rule: Rule,
    target: Target,
    event: BusEvent,
    outcome: { retries: number; errorCode: string; exhausted: string | undefined; reason: Error },
  ): Promise<void> {
    const { retries, errorCode, exhausted, reason } = outcome
    options.onFailure({ rule: rule.name, target: target.arn, event, attempts: retries + 1, error: reason })
    if (target.deadLetterArn === undefined) return
    const text = (StringValue: string) => ({ DataType: 'String', StringValue })
    await carriers.send(target.deadLetterArn, {
      body: JSON.stringify(event),
      attributes: {
        RULE_ARN: text(rule.arn),
        TARGET_ARN: text(target.arn),
        ERROR_CODE: text(errorCode),
        ERROR_MESSAGE: text(reason.message || reason.name),
        RETRY_ATTEMPTS: text(String(retries)),
        ...(exhausted === undefined ? {} : { EXHAUSTED_RETRY_CONDITION: text(exhausted) }),
      },
    })
  }

  return {
    deliver(rule, target, event) {
      const work =
        pending.size < MAX_PENDING
          ? persist(rule, target, event)
          : giveUp(rule, target, event, {
              retries: 0,
              errorCode: 'INTERNAL_ERROR',
              exhausted: undefined,
              reason: new Error(`${MAX_PENDING} deliveries are already under way`),
            })
      const settled = work
        .catch((error: unknown) =>
          options.onFailure({ rule: rule.name, target: target.arn, event, attempts: 0, error: error as Error }),
        )
        .finally(() => pending.delete(settled))
      pending.add(settled)
    },
    async idle() {
      while (pending.size > 0) await Promise.all(pending)
    },
    async close() {
      closing.abort()
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}
