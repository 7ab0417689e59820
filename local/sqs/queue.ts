import { randomBytes, randomUUID } from 'node:crypto'
import { refuse } from './errors.ts'
import { isInFlight, type Message } from './message.ts'
import { deduplicationIdOf, deduplicationKey, type NewMessage, validateNewMessage } from './new-message.ts'
import type { QueueConfiguration } from './queue-configuration.ts'
import type { QueueLog } from './queue-log.ts'
import { fifoShelf, standardShelf } from './shelf.ts'

/** A message as it was received, with the handle that deletes it. */
export interface Received {
  readonly message: Message
  readonly receiptHandle: string
}

/** A queue. All changes are in memory at once and in the log before the returned promise resolves. */
export interface Queue {
  readonly configuration: QueueConfiguration
  send(message: NewMessage): Promise<Message>
  /**
   * Up to `count` messages, hidden for `visibilityMs`; waits up to `waitMs` for the first. A signal that aborts ends the
   * wait with none.
   */
  receive(count: number, options: { visibilityMs?: number; waitMs?: number; signal?: AbortSignal }): Promise<Received[]>
  /** Throws ReceiptHandleIsInvalid for what is no handle; one that is out of date deletes nothing. */
  delete(receiptHandle: string): Promise<void>
  changeVisibility(receiptHandle: string, visibilityMs: number): Promise<void>
  purge(): Promise<void>
  counts(): { visible: number; inFlight: number; delayed: number }
  /** Takes in a dead letter as it is. */
  adopt(message: Message): Promise<void>
  /** Ends waits and timers. */
  close(): void
}

/** How long a FIFO queue remembers a deduplication id. Source: the API reference of SendMessage. */
const DEDUPLICATION_MS = 5 * 60_000
/** More messages than this in one queue are refused, so that a forgotten consumer cannot fill memory. Local only. */
const MAX_MESSAGES = 100_000
/** Node's timers take no more; a later time is reached in several steps. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** What a queue needs of its surroundings. */
export interface QueueDependencies {
  readonly log: QueueLog
  readonly now: () => number
  /** Finds the queue that takes dead letters, by ARN. */
  readonly deadLetterQueue: (arn: string) => Queue | undefined
  /** The next of ever rising numbers, over all queues and restarts. */
  readonly nextSequence: () => bigint
  /** Told of a change that could not be written down and that no caller waits for. */
  readonly onDefect: (error: unknown) => void
}

interface Waiter {
  readonly wake: () => void
}

/** Makes a queue that holds `messages`, as read from the log. */
export function createQueue(
  configuration: QueueConfiguration,
  messages: readonly Message[],
  deps: QueueDependencies,
): Queue {
  const { log, now } = deps
  const { name } = configuration
  const shelf = configuration.fifo ? fifoShelf(now) : standardShelf()
  const all = new Map<string, Message>()
  const timers = new Map<string, NodeJS.Timeout>()
  const deduplicated = new Map<string, Message>()
  const waiters = new Set<Waiter>()
  let expiry: NodeJS.Timeout | undefined
  let closed = false

  function wakeWaiters(): void {
    for (const waiter of [...waiters]) waiter.wake()
  }

  /** Puts a message where its `hiddenUntil` says: on the shelf now, or when the time has come. */
  function place(message: Message): void {
    clearTimeout(timers.get(message.id))
    timers.delete(message.id)
    const left = message.hiddenUntil - now()
    if (left <= 0) {
      shelf.put(message)
      wakeWaiters()
      return
    }
    // A FIFO shelf must know what is hidden, because it holds its group back.
    if (configuration.fifo) shelf.put(message)
    const timer = setTimeout(() => place(message), left)
    timer.unref()
    timers.set(message.id, timer)
  }

  function enter(message: Message): void {
    all.set(message.id, message)
    place(message)
    watchExpiry()
  }

  function forget(message: Message): void {
    all.delete(message.id)
    clearTimeout(timers.get(message.id))
    timers.delete(message.id)
    shelf.remove(message)
    // In a FIFO queue the end of one message frees its group.
    if (configuration.fifo) wakeWaiters()
  }

  /** One timer for the message that expires next; dead letters come with an age, so it need not be the first. */
  function watchExpiry(): void {
    if (expiry) return
    let oldest = Number.POSITIVE_INFINITY
    for (const { sentAt } of all.values()) oldest = Math.min(oldest, sentAt)
    if (oldest === Number.POSITIVE_INFINITY) return
    const left = oldest + configuration.retentionMs - now()
    expiry = setTimeout(expire, Math.max(0, Math.min(left, MAX_TIMER_MS)))
    expiry.unref()
  }

  function expire(): void {
    expiry = undefined
    for (const message of [...all.values()]) {
      if (message.sentAt + configuration.retentionMs > now()) continue
      forget(message)
      log.remove(name, message.id).catch(deps.onDefect)
    }
    watchExpiry()
  }

  async function moveToDeadLetters(message: Message, arn: string): Promise<void> {
    const target = deps.deadLetterQueue(arn)
    if (!target) throw new Error(`The dead-letter queue ${arn} of ${name} is not among the template's queues`)
    forget(message)
    const { receipt: _receipt, firstReceivedAt: _first, ...kept } = message
    await target.adopt({ ...kept, deadLetterSourceArn: configuration.arn, hiddenUntil: 0 })
    await log.remove(name, message.id)
  }

  /** Takes, hides and moves dead letters in one step, without a moment in which another receive could come between. */
  function takeVisible(count: number, visibilityMs: number): { received: Received[]; written: Promise<unknown> } {
    const taken: Message[] = []
    const moved: Promise<void>[] = []
    const { redrive } = configuration
    for (;;) {
      const found = taken.length < count ? shelf.take(count - taken.length) : []
      if (found.length === 0) break
      for (const message of found) {
        if (redrive && message.receiveCount >= redrive.maxReceiveCount)
          moved.push(moveToDeadLetters(message, redrive.arn))
        else {
          // Held, so that this receive does not find it again, however short the visibility timeout is.
          message.hiddenUntil = Number.POSITIVE_INFINITY
          taken.push(message)
        }
      }
    }
    const received = taken.map((message) => hide(message, visibilityMs))
    return { received, written: Promise.all([...moved, log.flushed()]) }
  }

  function hide(message: Message, visibilityMs: number): Received {
    message.receiveCount += 1
    message.firstReceivedAt ??= now()
    message.receipt = randomBytes(12).toString('hex')
    message.hiddenUntil = now() + visibilityMs
    void log.hold(name, message)
    place(message)
    return { message, receiptHandle: handleOf(message) }
  }

  function handleOf(message: Message): string {
    return Buffer.from(`${name} ${message.id} ${message.receipt}`).toString('base64')
  }

  function find(receiptHandle: string): { message: Message | undefined; current: boolean } {
    const [queue, id, receipt] = Buffer.from(receiptHandle, 'base64').toString().split(' ')
    if (queue !== name || !id || !receipt)
      refuse('ReceiptHandleIsInvalid', `The input receipt handle "${receiptHandle}" is not a valid receipt handle.`)
    const message = all.get(id)
    return { message, current: message?.receipt === receipt }
  }

  for (const message of messages) enter(message)

  return {
    configuration,
    async send(message) {
      validateNewMessage(message, configuration)
      if (all.size >= MAX_MESSAGES)
        refuse('OverLimit', `The local queue ${name} already holds ${MAX_MESSAGES} messages.`)
      const key = deduplicationKey(message, configuration)
      const before = key === undefined ? undefined : deduplicated.get(key)
      if (before && before.sentAt + DEDUPLICATION_MS > now()) return before
      const sent: Message = {
        id: randomUUID(),
        body: message.body,
        attributes: message.attributes ?? {},
        sentAt: now(),
        senderId: 'AIDALOCALSENDER',
        receiveCount: 0,
        hiddenUntil:
          now() + (message.delaySeconds === undefined ? configuration.delayMs : message.delaySeconds * 1_000),
        ...(message.traceHeader === undefined ? {} : { traceHeader: message.traceHeader }),
        ...(message.groupId === undefined ? {} : { groupId: message.groupId }),
        ...(configuration.fifo
          ? {
              deduplicationId: deduplicationIdOf(message),
              sequenceNumber: String(deps.nextSequence()).padStart(20, '0'),
            }
          : {}),
      }
      if (key !== undefined) {
        deduplicated.set(key, sent)
        setTimeout(() => deduplicated.delete(key), DEDUPLICATION_MS).unref()
      }
      await log.put(name, sent)
      enter(sent)
      return sent
    },
    async adopt(message) {
      await log.put(name, message)
      enter(message)
    },
    async receive(count, { visibilityMs = configuration.visibilityMs, waitMs = configuration.waitMs, signal }) {
      const deadline = now() + waitMs
      for (;;) {
        if (signal?.aborted) return []
        const { received, written } = takeVisible(count, visibilityMs)
        if (received.length > 0 || closed || now() >= deadline) {
          await written
          return received
        }
        // No await between the look and the wait: what comes from here on wakes it.
        await Promise.all([wait(deadline - now(), signal), written])
      }
    },
    async delete(receiptHandle) {
      const { message, current } = find(receiptHandle)
      if (!message || !current) return
      forget(message)
      await log.remove(name, message.id)
    },
    async changeVisibility(receiptHandle, visibilityMs) {
      const { message, current } = find(receiptHandle)
      if (!message)
        refuse(
          'InvalidParameterValue',
          `Value ${receiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
        )
      if (!current || !isInFlight(message, now()))
        refuse(
          'MessageNotInflight',
          'The specified message is not in flight.',
          'AWS.SimpleQueueService.MessageNotInflight',
        )
      message.hiddenUntil = now() + visibilityMs
      await log.hold(name, message)
      place(message)
    },
    async purge() {
      for (const message of [...all.values()]) {
        forget(message)
        void log.remove(name, message.id)
      }
      await log.flushed()
    },
    counts() {
      let inFlight = 0
      let delayed = 0
      for (const message of all.values())
        if (isInFlight(message, now())) inFlight += 1
        else if (message.hiddenUntil > now()) delayed += 1
      return { visible: all.size - inFlight - delayed, inFlight, delayed }
    },
    close() {
      closed = true
      clearTimeout(expiry)
      for (const timer of timers.values()) clearTimeout(timer)
      for (const waiter of [...waiters]) waiter.wake()
    },
  }

  function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        waiters.delete(waiter)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, Math.min(ms, MAX_TIMER_MS))
      const waiter: Waiter = { wake: end }
      waiters.add(waiter)
      signal?.addEventListener('abort', end)
    })
  }
}
