import { setTimeout as delay } from 'node:timers/promises'
import type { FunctionConfiguration } from './function-configuration.ts'
import type { InvokeResponse } from './invoke-response.ts'

/** Lambda's own waits before the first and the second retry. */
export const RETRY_DELAYS_MS: readonly number[] = [60_000, 120_000]
const DEFAULT_RETRIES = 2
const DEFAULT_MAXIMUM_AGE_SECONDS = 6 * 60 * 60

/** An asynchronous invocation that was given up. */
export interface AsyncFailure {
  readonly functionName: string
  readonly functionArn: string
  readonly requestId: string
  readonly event: unknown
  readonly attempts: number
  readonly condition: 'RetriesExhausted' | 'EventAgeExceeded' | 'QueueFull'
  readonly error: { readonly errorType?: string; readonly errorMessage?: string }
  /** ARN of the on-failure destination, which takes `record`; undefined when the function has none. */
  readonly destination: string | undefined
  /** ARN of the dead-letter queue, which takes `event`; undefined when the function has none. */
  readonly deadLetterTarget: string | undefined
  /** The invocation record that Lambda sends to a destination. */
  readonly record: Readonly<Record<string, unknown>>
}

/** What the queue needs of the runtime. */
export interface AsyncOptions {
  readonly retryDelaysMs: readonly number[]
  /** The most events that wait for one function; more are given up at once. */
  readonly maxQueued: number
  /** Waits for a place of the function and takes it; throttled events wait and do not count as attempts. */
  readonly whenFree: (name: string) => Promise<void>
  /** Runs the function on the place taken, and gives the place back. */
  readonly run: (name: string, payload: string, requestId: string) => Promise<InvokeResponse>
  readonly onFailure: (failure: AsyncFailure) => void
}

/** The queue between an asynchronous invocation's 202 and its outcome. It lives in memory and ends with the process. */
export class AsyncInvocations {
  readonly #options: AsyncOptions
  readonly #queued = new Map<string, number>()
  readonly #running = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(options: AsyncOptions) {
    this.#options = options
  }

  /** Events that wait or run, over all functions. */
  get pending(): number {
    return this.#running.size
  }

  add(configuration: FunctionConfiguration, event: unknown, payload: string, requestId: string): void {
    const { name } = configuration
    const queued = this.#queued.get(name) ?? 0
    if (queued >= this.#options.maxQueued) {
      const error = { errorType: 'QueueFull', errorMessage: `${queued} events already wait for ${name}` }
      this.#giveUp(configuration, event, requestId, 0, 'QueueFull', error)
      return
    }
    this.#queued.set(name, queued + 1)
    const run = this.#run(configuration, event, payload, requestId).finally(() => {
      this.#queued.set(name, (this.#queued.get(name) ?? 1) - 1)
      this.#running.delete(run)
    })
    this.#running.add(run)
  }

  /** Gives up what still waits for a retry; resolves when what runs has ended. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#running)
  }

  async #run(configuration: FunctionConfiguration, event: unknown, payload: string, requestId: string): Promise<void> {
    const { name } = configuration
    const retries = configuration.maximumRetryAttempts ?? DEFAULT_RETRIES
    const expiresAt = Date.now() + (configuration.maximumEventAgeSeconds ?? DEFAULT_MAXIMUM_AGE_SECONDS) * 1000
    let attempts = 0
    let last: InvokeResponse | undefined
    try {
      for (;;) {
        await this.#options.whenFree(name)
        const response = await this.#options.run(name, payload, requestId)
        attempts++
        if (response.functionError === undefined || this.#closing.signal.aborted) return
        last = response
        if (attempts > retries) break
        const wait = this.#options.retryDelaysMs[attempts - 1] ?? this.#options.retryDelaysMs.at(-1) ?? 0
        if (Date.now() + wait >= expiresAt) break
        await delay(wait, undefined, { signal: this.#closing.signal, ref: false })
      }
    } catch (error) {
      if (this.#closing.signal.aborted) return
      throw error
    }
    const condition = attempts > retries ? 'RetriesExhausted' : 'EventAgeExceeded'
    this.#giveUp(configuration, event, requestId, attempts, condition, errorOf(last), last)
  }

  #giveUp(
    configuration: FunctionConfiguration,
    event: unknown,
    requestId: string,
    attempts: number,
    condition: AsyncFailure['condition'],
    error: AsyncFailure['error'],
    last?: InvokeResponse,
  ): void {
    this.#options.onFailure({
      functionName: configuration.name,
      functionArn: configuration.arn,
      requestId,
      event,
      attempts,
      condition,
      error,
      destination: configuration.onFailureDestination,
      deadLetterTarget: configuration.deadLetterTarget,
      record: {
        version: '1.0',
        timestamp: new Date().toISOString(),
        requestContext: {
          requestId,
          functionArn: `${configuration.arn}:$LATEST`,
          condition,
          approximateInvokeCount: attempts,
        },
        requestPayload: event,
        ...(last && {
          responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: last.functionError },
          responsePayload: last.payload,
        }),
      },
    })
  }
}

function errorOf(response: InvokeResponse | undefined): AsyncFailure['error'] {
  const payload = response?.payload
  return typeof payload === 'object' && payload !== null ? payload : {}
}
