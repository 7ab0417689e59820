/** A small existing server over real HTTP, scripted per test: what a route answers, and what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { closeServer, listen } from '../../../local/common/listen.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
  readonly body: unknown
}
/** A JSON answer, or full control over the response. */
export type Answer =
  | { readonly status: number; readonly body?: unknown }
  | ((response: ServerResponse, request: IncomingMessage) => void)

export async function startFakeServer() {
  const asked: Asked[] = []
  const answers = new Map<string, Answer[]>()

  async function bodyOf(request: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString('utf8')
    return text === '' ? undefined : JSON.parse(text)
  }
  /** The last answer of a route stays. */
  function next(route: string): Answer {
    const left = answers.get(route) ?? []
    return (left.length > 1 ? left.shift() : left[0]) ?? { status: 404, body: { error: `no route ${route}` } }
  }
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = request
    asked.push({ method, path, authorization: request.headers.authorization, body: await bodyOf(request) })
    const answer = next(`${method} ${path}`)
    if (typeof answer === 'function') return answer(response, request)
    response.writeHead(answer.status, { 'content-type': 'application/json' })
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
  })
  const url = await listen(server)
  return {
    url,
    asked,
    /** `route`: `GET /api/agents`. Several answers are given in turn. */
    on(route: string, ...given: Answer[]) {
      answers.set(route, given)
    },
    reset() {
      asked.length = 0
      answers.clear()
    },
    close: () => closeServer(server, 0),
  }
}
