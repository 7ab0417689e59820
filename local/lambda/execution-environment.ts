import { Worker } from 'node:worker_threads'
import { LineBuffer } from './line-buffer.ts'
import type { EnvironmentData, EnvironmentMessage, ErrorPayload, InvokeMessage } from './protocol.ts'

/** The initialization phase of a function may take ten seconds. */
const INIT_LIMIT_MS = 10_000

/** How one invocation ended, as seen by the environment. */
export type Outcome =
  | { readonly ok: true; readonly payload: string }
  | { readonly ok: false; readonly error: ErrorPayload }

/** What an environment is started with. */
export interface EnvironmentOptions {
  /** Unique in the runtime; a part of its access key. */
  readonly id: string
  readonly data: Omit<EnvironmentData, 'gate'>
  /** The environment's whole `process.env`; nothing of this process's own is added. */
  readonly variables: Readonly<Record<string, string>>
  readonly freeze: boolean
  readonly onLine: (requestId: string | undefined, line: string) => void
}

interface Invocation {
  readonly requestId: string
  readonly settle: (outcome: Outcome) => void
}

/** One execution environment: a worker thread that runs one invocation at a time and is frozen in between. */
export class ExecutionEnvironment {
  readonly id: string
  /** Settles with how the initialization ended; later problems are an invocation's outcome. */
  readonly initialized: Promise<Outcome>
  /** Resolves when the thread has ended, whatever ended it. */
  readonly exited: Promise<void>
  readonly #worker: Worker
  readonly #gate: Int32Array<SharedArrayBuffer> | undefined
  readonly #lines: LineBuffer
  #invocation: Invocation | undefined
  #lastRequestId: string | undefined
  #alive = true

  constructor(options: EnvironmentOptions) {
    this.id = options.id
    this.#gate = options.freeze ? new Int32Array(new SharedArrayBuffer(4)) : undefined
    this.#lines = new LineBuffer((line) => options.onLine(this.#lastRequestId, line))
    const data: EnvironmentData = { ...options.data, gate: this.#gate }
    this.#worker = new Worker(new URL('./environment-thread.ts', import.meta.url), {
      name: `${options.data.functionName} ${options.id}`,
      workerData: data,
      env: { ...options.variables },
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: options.data.memoryMb },
    })
    this.#worker.unref()
    this.initialized = this.#initialize()
    this.exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#alive = false
        this.#lines.flush()
        this.#settle({ ok: false, error: exitError(this.#lastRequestId, `exit status ${code}`) })
        resolve()
      })
    })
    this.#worker.on('error', (error) => {
      const how =
        (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'signal: killed' : error.message
      this.#settle({ ok: false, error: exitError(this.#lastRequestId, how) })
    })
    this.#worker.on('message', (message: EnvironmentMessage) => this.#receive(message))
  }

  /** Whether the thread is there and takes an invocation. */
  get alive(): boolean {
    return this.#alive
  }

  /** The invocation under way; undefined while frozen. */
  get requestId(): string | undefined {
    return this.#invocation?.requestId
  }

  /** Runs one invocation. `timeoutMs` is the function's timeout; when it has passed, the environment is terminated. */
  invoke(message: InvokeMessage, timeoutMs: number): Promise<Outcome> {
    if (this.#invocation) throw new Error(`Environment ${this.id} already runs ${this.#invocation.requestId}`)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const seconds = (timeoutMs / 1000).toFixed(2)
        const errorMessage = `RequestId: ${message.requestId} Error: Task timed out after ${seconds} seconds`
        this.#settle({ ok: false, error: { errorType: 'Sandbox.Timedout', errorMessage } })
        void this.terminate()
      }, timeoutMs)
      this.#lastRequestId = message.requestId
      const settle = (outcome: Outcome) => {
        clearTimeout(timer)
        resolve(outcome)
      }
      this.#invocation = { requestId: message.requestId, settle }
      this.#thaw()
      this.#worker.postMessage(message)
    })
  }

  /** Ends the thread at once, in the middle of whatever it does. The invocation under way ends with an error. */
  async terminate(): Promise<void> {
    this.#alive = false
    await this.#worker.terminate()
  }

  #initialize(): Promise<Outcome> {
    return new Promise((resolve) => {
      const finish = (outcome: Outcome) => {
        clearTimeout(timer)
        this.#worker.off('message', onMessage)
        resolve(outcome)
      }
      const onMessage = (message: EnvironmentMessage) => {
        if (message.type === 'ready') finish({ ok: true, payload: '' })
        if (message.type === 'init-failed') finish({ ok: false, error: message.error })
      }
      const timer = setTimeout(() => {
        finish({ ok: false, error: { errorType: 'Sandbox.Timedout', errorMessage: 'Initialization timed out' } })
        void this.terminate()
      }, INIT_LIMIT_MS)
      this.#worker.on('message', onMessage)
      this.#worker.once('error', (error) => finish({ ok: false, error: exitError(undefined, error.message) }))
      this.#worker.once('exit', (code) => finish({ ok: false, error: exitError(undefined, `exit status ${code}`) }))
    })
  }

  #receive(message: EnvironmentMessage): void {
    if (message.type === 'log') this.#lines.push(message.text)
    if (message.type === 'result' && message.requestId === this.#invocation?.requestId) {
      this.#lines.flush()
      this.#settle({ ok: true, payload: message.payload })
    }
    if (message.type === 'error' && message.requestId === this.#invocation?.requestId) {
      this.#lines.flush()
      if (message.exits) this.#alive = false
      this.#settle({ ok: false, error: message.error })
    }
  }

  #settle(outcome: Outcome): void {
    const invocation = this.#invocation
    this.#invocation = undefined
    invocation?.settle(outcome)
  }

  #thaw(): void {
    if (!this.#gate) return
    Atomics.store(this.#gate, 0, 1)
    Atomics.notify(this.#gate, 0)
  }
}

function exitError(requestId: string | undefined, how: string): ErrorPayload {
  const prefix = requestId === undefined ? '' : `RequestId: ${requestId} Error: `
  return { errorType: 'Runtime.ExitError', errorMessage: `${prefix}Runtime exited with error: ${how}` }
}
