import { randomUUID } from 'node:crypto'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ACCOUNT_ID, REGION } from '../assembly/account.ts'
import type { AwsCall, Disturbance } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { randomHex } from '../common/random.ts'
import { type AsyncFailure, AsyncInvocations, RETRY_DELAYS_MS } from './async-invocations.ts'
import { ConcurrencyLimit, EnvironmentPool } from './environment-pool.ts'
import { ExecutionEnvironment, type Outcome } from './execution-environment.ts'
import type { FunctionConfiguration } from './function-configuration.ts'
import { type InvokeResponse, MAX_ASYNC_PAYLOAD_BYTES, MAX_SYNC_PAYLOAD_BYTES, responseOf } from './invoke-response.ts'
import { type KillDecision, type KillMoment, type KillSwitch, KillSwitches } from './kill-switch.ts'
import { FunctionCounters, type FunctionMetrics } from './metrics.ts'
import { processorLoad } from './processor-load.ts'
import { runtimeVariables } from './runtime-variables.ts'
import { StartGate } from './start-gate.ts'

/** What `createLambda` takes. */
export interface LambdaOptions {
  readonly functions: readonly FunctionConfiguration[]
  /** The endpoints (`AWS_ENDPOINT_URL_*`) every environment gets; asked at each cold start. */
  readonly endpointVariables?: (() => Readonly<Record<string, string>>) | undefined
  /** One line of a function's output; `requestId` is undefined before its first invocation. */
  readonly onLog?: ((functionName: string, requestId: string | undefined, line: string) => void) | undefined
  /** An asynchronous invocation that was given up. */
  readonly onAsyncFailure?: ((failure: AsyncFailure) => void) | undefined
  /** Limits of this machine, beyond which invocations wait: a function's environments, 50, and those that initialize, one a core. */
  readonly environmentsPerFunction?: number | undefined
  readonly startsAtOnce?: number | undefined
  /** Invocations of all functions at once, waiting ones included; default 1,000, an account's own. */
  readonly totalConcurrency?: number | undefined
  /** How long an idle environment is kept; default five minutes. */
  readonly idleTtlMs?: number | undefined
  /** Waits before the retries of an asynchronous invocation; default one and two minutes, as on AWS. */
  readonly retryDelaysMs?: readonly number[] | undefined
  /** The most asynchronous events that wait for one function; default 10,000. */
  readonly maxQueuedEvents?: number | undefined
  /** Where compiled code is kept for later cold starts, which it makes a third cheaper; default in the temporary directory. */
  readonly compileCacheDirectory?: string | undefined
  /** Whether an environment stands still between invocations, as on AWS; default true. */
  readonly freeze?: boolean | undefined
}

/** The running functions. */
export interface Lambda {
  /**
   * Invokes a function by name or ARN. `Event` answers at once and runs later, with retries.
   * Throws `AwsError`: `ResourceNotFoundException` 404, `TooManyRequestsException` 429, `RequestTooLargeException` 413.
   */
  invoke(
    functionArnOrName: string,
    event: unknown,
    options?: { type?: 'RequestResponse' | 'Event' },
  ): Promise<InvokeResponse>
  /** To be given each call that an AWS endpoint receives; ends the caller's environment when a kill switch says so. */
  observeCall(call: Pick<AwsCall, 'service' | 'operation' | 'input' | 'accessKeyId'>): Disturbance | undefined
  /** Ends environments of a function at the moments that the predicate chooses among their calls to AWS. */
  killAt(functionName: string, predicate: (moment: KillMoment) => KillDecision): KillSwitch
  /** The environment that signs with this access key. */
  environmentOfAccessKey(accessKeyId: string): { environmentId: string; functionName: string } | undefined
  /** Ends one environment in the middle of whatever it does. Resolves false when it is not there. */
  terminate(environmentId: string): Promise<boolean>
  metrics(): Readonly<Record<string, FunctionMetrics>>
  /** Resolves when no asynchronous invocation waits or runs. */
  close(): Promise<void>
}

interface RunningFunction {
  readonly configuration: FunctionConfiguration
  readonly pool: EnvironmentPool
  readonly counters: FunctionCounters
  /** Asynchronous events that wait for a place. */
  readonly waiting: { readonly resolve: () => void; readonly reject: (reason: Error) => void }[]
}

interface RunningEnvironment {
  readonly environment: ExecutionEnvironment
  readonly functionName: string
  callsInInvocation: number
}

const COMPILE_CACHE_DIRECTORY = join(tmpdir(), 'local-lambda-compile-cache')
const ACCESS_KEY_PREFIX = 'AKIALOCAL'

/** Runs Lambda functions from their bundles in worker threads, one invocation per environment at a time. */
export function createLambda(options: LambdaOptions): Lambda {
  return new LocalLambda(options)
}

class LocalLambda implements Lambda {
  readonly #options: LambdaOptions
  readonly #functions = new Map<string, RunningFunction>()
  readonly #environments = new Map<string, RunningEnvironment>()
  readonly #killSwitches = new KillSwitches()
  readonly #async: AsyncInvocations
  #environmentCount = 0
  #closed = false

  constructor(options: LambdaOptions) {
    this.#options = options
    const account = new ConcurrencyLimit(options.totalConcurrency ?? 1_000)
    const gate = new StartGate({ limit: options.startsAtOnce ?? availableParallelism(), isBusy: processorLoad() })
    for (const configuration of options.functions) {
      const counters = new FunctionCounters()
      const pool = new EnvironmentPool({
        reserved: configuration.reservedConcurrency,
        account,
        environments: options.environmentsPerFunction ?? 50,
        gate,
        idleTtlMs: options.idleTtlMs ?? 5 * 60_000,
        create: () => this.#createEnvironment(configuration),
        onColdStart: (initMs) => counters.coldStart(initMs),
      })
      this.#functions.set(configuration.name, { configuration, pool, counters, waiting: [] })
    }
    this.#async = new AsyncInvocations({
      retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
      maxQueued: options.maxQueuedEvents ?? 10_000,
      whenFree: (name) => this.#takeWhenFree(this.#find(name)),
      run: (name, payload, requestId) => this.#runInPlace(this.#find(name), payload, requestId),
      onFailure: (failure) => options.onAsyncFailure?.(failure),
    })
  }

  async invoke(
    functionArnOrName: string,
    event: unknown,
    { type = 'RequestResponse' }: { type?: 'RequestResponse' | 'Event' } = {},
  ): Promise<InvokeResponse> {
    const target = this.#find(functionArnOrName)
    const payload = JSON.stringify(event) ?? 'null'
    const limit = type === 'Event' ? MAX_ASYNC_PAYLOAD_BYTES : MAX_SYNC_PAYLOAD_BYTES
    const size = Buffer.byteLength(payload)
    if (size > limit)
      throw new AwsError(
        'RequestTooLargeException',
        `${size} byte payload is too large for the ${type} invocation type (limit ${limit} bytes)`,
        { statusCode: 413 },
      )
    const requestId = randomUUID()
    if (type === 'RequestResponse') return this.#invokeNow(target, payload, requestId)
    this.#assertOpen()
    this.#async.add(target.configuration, event, payload, requestId)
    return { statusCode: 202, functionError: undefined, payload: undefined, requestId }
  }

  observeCall(call: Pick<AwsCall, 'service' | 'operation' | 'input' | 'accessKeyId'>): Disturbance | undefined {
    const running = this.#environments.get(call.accessKeyId ?? '')
    if (!running?.environment.alive) return undefined
    running.callsInInvocation++
    const disturbance = this.#killSwitches.decide({
      environmentId: running.environment.id,
      functionName: running.functionName,
      requestId: running.environment.requestId,
      call,
      callNumber: running.callsInInvocation,
    })
    if (disturbance) void running.environment.terminate()
    return disturbance
  }

  killAt(functionName: string, predicate: (moment: KillMoment) => KillDecision): KillSwitch {
    return this.#killSwitches.arm(this.#find(functionName).configuration.name, predicate)
  }

  environmentOfAccessKey(accessKeyId: string): { environmentId: string; functionName: string } | undefined {
    const running = this.#environments.get(accessKeyId)
    return running && { environmentId: running.environment.id, functionName: running.functionName }
  }

  async terminate(environmentId: string): Promise<boolean> {
    const running = this.#environments.get(`${ACCESS_KEY_PREFIX}${environmentId}`)
    await running?.environment.terminate()
    return running !== undefined
  }

  metrics(): Readonly<Record<string, FunctionMetrics>> {
    return Object.fromEntries([...this.#functions].map(([name, { counters }]) => [name, counters.snapshot()]))
  }

  async close(): Promise<void> {
    this.#closed = true
    const asyncClosed = this.#async.close()
    for (const { waiting } of this.#functions.values())
      for (const { reject } of waiting.splice(0)) reject(new Error('The local Lambda is closed'))
    await Promise.all([...this.#functions.values()].map(({ pool }) => pool.terminate()))
    await asyncClosed
  }

  #assertOpen(): void {
    if (this.#closed) throw new AwsError('ServiceException', 'The local Lambda is closed', { statusCode: 500 })
  }

  #find(functionArnOrName: string): RunningFunction {
    const name = functionArnOrName.startsWith('arn:')
      ? functionArnOrName.split(':')[6]
      : functionArnOrName.split(':')[0]
    const found = this.#functions.get(name ?? '')
    if (!found) {
      const functionArn = `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:${name}`
      throw new AwsError('ResourceNotFoundException', `Function not found: ${functionArn}`, { statusCode: 404 })
    }
    return found
  }

  async #invokeNow(target: RunningFunction, payload: string, requestId: string): Promise<InvokeResponse> {
    this.#assertOpen()
    try {
      target.pool.take()
    } catch (error) {
      target.counters.throttles++
      throw error
    }
    return this.#runInPlace(target, payload, requestId)
  }

  /** Runs an invocation on a place that is already taken, and gives the place back. */
  async #runInPlace(target: RunningFunction, payload: string, requestId: string): Promise<InvokeResponse> {
    const { configuration, pool, counters } = target
    counters.maxConcurrency = Math.max(counters.maxConcurrency, pool.busy)
    let durationMs = 0
    try {
      const outcome = await pool.run(async (environment) => {
        const startedAt = performance.now()
        const outcome = await this.#runIn(environment, configuration, payload, requestId)
        durationMs = performance.now() - startedAt
        return outcome
      })
      const response = responseOf(outcome, requestId)
      counters.invoked(durationMs, response.functionError === undefined)
      return response
    } finally {
      pool.release()
      this.#handOver()
    }
  }

  #runIn(
    environment: ExecutionEnvironment,
    { timeoutSeconds }: FunctionConfiguration,
    payload: string,
    requestId: string,
  ): Promise<Outcome> {
    const running = this.#environments.get(`${ACCESS_KEY_PREFIX}${environment.id}`)
    if (running) running.callsInInvocation = 0
    const timeoutMs = timeoutSeconds * 1000
    const traceId = `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${randomHex(24)};Parent=${randomHex(16)};Sampled=0`
    return environment.invoke({ requestId, payload, deadlineMs: Date.now() + timeoutMs, traceId }, timeoutMs)
  }

  /** Waits for a place and takes it. Rejects when the runtime closes. */
  #takeWhenFree({ pool, waiting }: RunningFunction): Promise<void> {
    if (waiting.length === 0 && pool.hasPlace) {
      pool.take()
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  }

  /** Gives a free place to the event that has waited longest, first come first served within a function. */
  #handOver(): void {
    for (const { pool, waiting } of this.#functions.values()) {
      while (waiting.length > 0 && pool.hasPlace) {
        pool.take()
        waiting.shift()?.resolve()
      }
    }
  }

  #createEnvironment(configuration: FunctionConfiguration): ExecutionEnvironment {
    const id = (++this.#environmentCount).toString(36).toUpperCase().padStart(7, '0')
    const accessKeyId = `${ACCESS_KEY_PREFIX}${id}`
    const logGroupName = `/aws/lambda/${configuration.name}`
    const logStreamName = `${new Date().toISOString().slice(0, 10).replaceAll('-', '/')}/[$LATEST]${id}`
    const environment = new ExecutionEnvironment({
      id,
      data: {
        directory: configuration.directory,
        handler: configuration.handler,
        functionName: configuration.name,
        functionArn: configuration.arn,
        memoryMb: configuration.memoryMb,
        logGroupName,
        logStreamName,
      },
      variables: {
        NODE_COMPILE_CACHE: this.#options.compileCacheDirectory ?? COMPILE_CACHE_DIRECTORY,
        ...this.#options.endpointVariables?.(),
        ...configuration.environment,
        ...runtimeVariables(configuration, accessKeyId, logGroupName, logStreamName),
      },
      freeze: this.#options.freeze ?? true,
      onLine: (requestId, line) => this.#options.onLog?.(configuration.name, requestId, line),
    })
    this.#environments.set(accessKeyId, { environment, functionName: configuration.name, callsInInvocation: 0 })
    void environment.exited.then(() => this.#environments.delete(accessKeyId))
    return environment
  }
}
