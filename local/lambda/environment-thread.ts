/** The inside of an execution environment: a worker thread that imports one bundle and runs its handler. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { EnvironmentData, EnvironmentMessage, ErrorPayload, InvokeMessage } from './protocol.ts'

type Handler = (event: unknown, context: unknown) => unknown

const data = workerData as EnvironmentData
const port = parentPort
if (!port) throw new Error('environment-thread.ts runs as a worker thread only')

let current: string | undefined

function post(message: EnvironmentMessage): void {
  port?.postMessage(message)
}

/** Output goes by the same port as results, so that an invocation's lines always come before its result. */
function redirectOutput(stream: NodeJS.WriteStream): void {
  const write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
    post({ type: 'log', text: typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8') })
    const done = typeof encoding === 'function' ? encoding : callback
    if (typeof done === 'function') done()
    return true
  }
  stream.write = write as typeof stream.write
}

function errorPayload(error: unknown, errorType?: string): ErrorPayload {
  if (error instanceof Error || (typeof error === 'object' && error !== null && 'message' in error)) {
    const { name, message, stack } = error as Error
    return {
      errorType: errorType ?? name ?? 'Error',
      errorMessage: String(message),
      trace: typeof stack === 'string' ? stack.split('\n') : [],
    }
  }
  return { errorType: errorType ?? typeof error, errorMessage: String(error), trace: [] }
}

async function loadHandler(): Promise<Handler> {
  const dot = data.handler.lastIndexOf('.')
  const [file, name] = [data.handler.slice(0, dot), data.handler.slice(dot + 1)]
  const path = ['.mjs', '.js', '.cjs'].map((extension) => join(data.directory, file + extension)).find(existsSync)
  if (path === undefined) {
    const error = new Error(`Cannot find module '${file}' in ${data.directory}`)
    error.name = 'Runtime.ImportModuleError'
    throw error
  }
  const module = await import(pathToFileURL(path).href)
  const handler = module[name] ?? module.default?.[name]
  if (typeof handler !== 'function') {
    const error = new Error(`${data.handler} is undefined or not exported`)
    error.name = 'Runtime.HandlerNotFound'
    throw error
  }
  return handler
}

function contextOf(message: InvokeMessage): unknown {
  return {
    awsRequestId: message.requestId,
    functionName: data.functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: data.functionArn,
    memoryLimitInMB: String(data.memoryMb),
    logGroupName: data.logGroupName,
    logStreamName: data.logStreamName,
    callbackWaitsForEmptyEventLoop: false,
    getRemainingTimeInMillis: () => Math.max(0, message.deadlineMs - Date.now()),
  }
}

/** Stops the whole thread, timers and sockets with it, until the next invocation or the environment's end. */
function freeze(): void {
  if (data.gate) Atomics.wait(data.gate, 0, 0)
}

async function run(handler: Handler, message: InvokeMessage): Promise<void> {
  if (data.gate) Atomics.store(data.gate, 0, 0)
  current = message.requestId
  process.env._X_AMZN_TRACE_ID = message.traceId
  let outcome: EnvironmentMessage
  try {
    const result = await handler(JSON.parse(message.payload), contextOf(message))
    outcome = { type: 'result', requestId: message.requestId, payload: JSON.stringify(result) ?? 'null' }
  } catch (error) {
    outcome = { type: 'error', requestId: message.requestId, error: errorPayload(error), exits: false }
  }
  current = undefined
  post(outcome)
  freeze()
}

/** An error outside the handler's promise ends the runtime, and with it the invocation under way. */
function crash(error: unknown, errorType?: string): never {
  const payload = errorPayload(error, errorType)
  if (current !== undefined) post({ type: 'error', requestId: current, error: payload, exits: true })
  process.exit(1)
}

redirectOutput(process.stdout)
redirectOutput(process.stderr)
process.on('unhandledRejection', (reason) => crash(reason, 'Runtime.UnhandledPromiseRejection'))
process.on('uncaughtException', (error) => crash(error))

try {
  const handler = await loadHandler()
  port.on('message', (message: InvokeMessage) => void run(handler, message))
  post({ type: 'ready' })
  freeze()
} catch (error) {
  post({ type: 'init-failed', error: errorPayload(error) })
  process.exit(1)
}
