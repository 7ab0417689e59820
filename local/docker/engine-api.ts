import { type IncomingMessage, type RequestOptions, request } from 'node:http'

/** The engine refused a call; `status` is its HTTP status. */
export class EngineError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.name = 'EngineError'
    this.status = status
  }
}

/** What a call carries besides its path. */
export interface EngineCall {
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** A Docker engine's HTTP API (https://docs.docker.com/reference/api/engine/), in the engine's own version. */
export interface Engine {
  readonly host: string
  /** Resolves with the answer's JSON, undefined when it has no body. Throws `EngineError`, or the connection's error. */
  call(method: 'GET' | 'POST' | 'DELETE', path: string, options?: EngineCall): Promise<unknown>
  /** Resolves with the answer as soon as it begins. Throws like `call`. */
  stream(method: 'GET' | 'POST', path: string, options?: EngineCall): Promise<IncomingMessage>
}

/** Where an engine listens when `DOCKER_HOST` says nothing. */
export const DEFAULT_DOCKER_HOST = 'unix:///var/run/docker.sock'
/** Longest answer that is read into memory: an inspection or a list, never an image. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
/** Milliseconds for the answer to a call. The longest stops a container, which has 120 s to end (Fargate's most). */
const CALL_MS = 180_000

/** Opens an engine by its `DOCKER_HOST` (`unix://` or `tcp://` without TLS). Throws for other schemes. */
export function openEngine(host: string): Engine {
  const target = targetOf(host)

  /** `answerMs` 0: the answer may come, and go on, as long as it likes. */
  function send(
    method: string,
    path: string,
    { query = {}, body }: EngineCall,
    answerMs: number,
  ): Promise<IncomingMessage> {
    const search = new URLSearchParams(query).toString()
    const json = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          ...target,
          method,
          path: search === '' ? path : `${path}?${search}`,
          // The engine closes a connection that has carried a stream; none is worth keeping.
          agent: false,
          headers:
            json === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) },
        },
        resolve,
      )
      outgoing.once('error', (error) =>
        reject(new Error(`The Docker engine at ${host} cannot be reached: ${error.message}`)),
      )
      outgoing.setTimeout(answerMs, () =>
        outgoing.destroy(new Error(`no answer to ${method} ${path} within ${answerMs / 1000} s`)),
      )
      outgoing.end(json)
    })
  }

  async function checked(
    method: string,
    path: string,
    options: EngineCall,
    answerMs: number,
  ): Promise<IncomingMessage> {
    const answer = await send(method, path, options, answerMs)
    const status = answer.statusCode ?? 0
    if (status < 400) return answer
    const text = await textOf(answer)
    throw new EngineError(status, messageOf(text) ?? `${method} ${path}: ${status} ${text}`)
  }

  return {
    host,
    async call(method, path, options = {}) {
      const text = await textOf(await checked(method, path, options, CALL_MS))
      return text === '' ? undefined : (JSON.parse(text) as unknown)
    },
    stream: (method, path, options = {}) => checked(method, path, options, 0),
  }
}

function targetOf(host: string): RequestOptions {
  const unix = /^unix:\/\/(.+)$/.exec(host)?.[1]
  if (unix !== undefined) return { socketPath: unix, headers: { host: 'docker' } }
  const tcp = /^(?:tcp|http):\/\/([^/:]+)(?::(\d+))?$/.exec(host)
  if (tcp && !process.env.DOCKER_TLS_VERIFY) return { host: tcp[1], port: Number(tcp[2] ?? 2_375) }
  throw new Error(`DOCKER_HOST=${host}: only unix:// and tcp:// without TLS are supported`)
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`The Docker engine's answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    return typeof message === 'string' ? message : undefined
  } catch {
    // A proxy in between answers in its own words, which are told as they are.
    return undefined
  }
}
