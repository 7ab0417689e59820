/**
 * `npm run smoke:aws -- --url https://… --socket-url wss://…/live --token JWT`: proves on a deployed stage the behaviours that the
 * one-machine runtime imitates. Every row is one that docs/aws-fidelity names; the end-to-end tests run the same rows against
 * the one-machine runtime, so a row that fails here and passes there is a difference to mend there.
 *
 * It starts three mock agents of the token's team and deletes them. Exit code 1 when a row failed.
 */
import { parseArgs } from 'node:util'
import { io, type Socket } from 'socket.io-client'
import { WebSocket } from 'ws'
import * as z from 'zod'
import { AgentViewSchema, SpawnAgentAnswerSchema } from '../shared/contracts/agents.ts'
import { serverEvents } from '../shared/contracts/socket-events.ts'

export interface Stage {
  /** The browser's origin, or the HTTP API's endpoint. */
  readonly url: string
  /** The WebSocket API with its stage. */
  readonly socketUrl: string
  readonly token: string
}
type Row = readonly [behaviour: string, prove: (stage: Stage) => Promise<void>]

const MINUTES = 60_000

function expect(what: string, given: unknown, wanted: unknown): void {
  if (JSON.stringify(given) !== JSON.stringify(wanted))
    throw new Error(`${what} is ${JSON.stringify(given)}, expected ${JSON.stringify(wanted)}`)
}

async function call(
  { url, token }: Stage,
  method: string,
  path: string,
  body?: unknown,
  authorization = `Bearer ${token}`,
) {
  const response = await fetch(new URL(path, url), {
    method,
    headers: { ...(authorization ? { authorization } : {}), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') ?? false
  return { status: response.status, body: isJson && text !== '' ? (JSON.parse(text) as unknown) : text }
}

const teamOf = (token: string): string =>
  z.object({ teamId: z.string() }).parse(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()))
    .teamId

/** A joined socket for as long as `use` takes. */
async function withSocket(stage: Stage, transports: string[], use: (socket: Socket) => Promise<void>): Promise<void> {
  const socket = io(stage.url, { auth: { token: stage.token }, transports, forceNew: true })
  try {
    socket.on('connect', () => socket.emit('join-team', { teamId: teamOf(stage.token), token: stage.token }))
    await next(socket, 'team-joined', () => true)
    await use(socket)
  } finally {
    socket.disconnect()
  }
}

function next<P>(socket: Socket, event: string, fits: (payload: P) => boolean, timeoutMs = MINUTES): Promise<P> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} within ${timeoutMs / 1000} s`)), timeoutMs)
    socket.on(event, (payload: P) => {
      if (!fits(payload)) return
      clearTimeout(timer)
      resolve(payload)
    })
  })
}

const spawn = async (stage: Stage, task: string): Promise<string> => {
  const { body } = await call(stage, 'POST', '/api/agents/spawn', { agentType: 'mock', task })
  return SpawnAgentAnswerSchema.parse(body).agent.id
}

/** Resolves with the agent's final status event. Fargate starts in 30 to 60 s, a first pull of the image takes longer. */
function ended(socket: Socket, agentId: string) {
  const isEnd = (payload: { agentId: string; status: string }) =>
    payload.agentId === agentId && !['starting', 'running'].includes(payload.status)
  return next(socket, 'agent-status', isEnd, 5 * MINUTES).then((payload) => serverEvents['agent-status'].parse(payload))
}

/** The code with which the gateway closes a connection that sends this. */
function closeCode(stage: Stage, send: (socket: WebSocket) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${stage.socketUrl}?EIO=4&transport=websocket`)
    socket.on('open', () => send(socket))
    socket.on('close', (code) => resolve(code))
    socket.on('error', reject)
  })
}

export const ROWS: readonly Row[] = [
  [
    'the authorizer refuses with the platform’s bodies: 401 without a token, 403 for a bad one',
    async (stage) => {
      expect('no token', await call(stage, 'GET', '/api/agents', undefined, ''), {
        status: 401,
        body: { message: 'Unauthorized' },
      })
      expect('bad token', await call(stage, 'GET', '/api/agents', undefined, 'Bearer x'), {
        status: 403,
        body: { message: 'Forbidden' },
      })
    },
  ],
  [
    'the greedy route takes the bare /socket.io/',
    async (stage) => {
      const { status, body } = await call(stage, 'GET', '/socket.io/?EIO=4&transport=polling', undefined, '')
      expect('status', status, 200)
      expect('first packet', String(body).slice(0, 1), '0')
    },
  ],
  ['Socket.IO over polling alone', (stage) => withSocket(stage, ['polling'], async () => undefined)],
  [
    'Socket.IO upgrades from polling to WebSocket',
    (stage) =>
      withSocket(stage, ['polling', 'websocket'], async ({ io: { engine } }) => {
        if (engine.transport.name !== 'websocket')
          await new Promise<void>((resolve) => engine.once('upgrade', () => resolve()))
      }),
  ],
  [
    'a WebSocket without a session gets its open packet',
    (stage) => withSocket(stage, ['websocket'], async () => undefined),
  ],
  [
    'a text frame over 32 KB closes with 1009',
    async (stage) => expect('code', await closeCode(stage, (socket) => socket.send(`4${'x'.repeat(40_000)}`)), 1009),
  ],
  [
    'a binary frame closes with 1003',
    async (stage) => expect('code', await closeCode(stage, (socket) => socket.send(Buffer.from([1, 2]))), 1003),
  ],
  [
    'a task runs, is told of by events, and its exit code arrives',
    (stage) =>
      withSocket(stage, ['polling', 'websocket'], async (socket) => {
        const id = await spawn(stage, 'exit 3')
        const { status, exitCode, message } = await ended(socket, id)
        expect('end', { status, exitCode, message }, { status: 'failed', exitCode: 3, message: 'exit code 3' })
        await call(stage, 'DELETE', `/api/agents/${id}`)
      }),
  ],
  [
    'typed input reaches the terminal over the link, and its output comes back',
    (stage) =>
      withSocket(stage, ['polling', 'websocket'], async (socket) => {
        const id = await spawn(stage, '')
        let seen = ''
        const echoed = next(
          socket,
          'terminal_data',
          ({ agentId, data }: { agentId: string; data: string }) => {
            if (agentId === id) seen += data
            return seen.includes('you said: smoke')
          },
          5 * MINUTES,
        )
        socket.emit('terminal_connect', { agentId: id })
        socket.emit('terminal_input', { type: 'input', agentId: id, data: 'smoke\r' })
        await echoed
        await call(stage, 'DELETE', `/api/agents/${id}`)
      }),
  ],
  [
    'StopTask ends a task with SIGTERM, told as UserInitiated',
    (stage) =>
      withSocket(stage, ['polling', 'websocket'], async (socket) => {
        const id = await spawn(stage, '')
        await next(
          socket,
          'agent-status',
          (p: { agentId: string; status: string }) => p.agentId === id && p.status === 'running',
          5 * MINUTES,
        )
        await call(stage, 'POST', `/api/agents/${id}/stop`)
        const { status, message } = await ended(socket, id)
        expect('end', { status, message }, { status: 'killed', message: 'stopped on request' })
        const { body } = await call(stage, 'GET', `/api/agents/${id}`)
        expect('record', z.object({ agent: AgentViewSchema }).parse(body).agent.status, 'killed')
        await call(stage, 'DELETE', `/api/agents/${id}`)
      }),
  ],
]

/** Proves every row, one after the other; answers the behaviours that failed, with why. */
export async function smoke(stage: Stage, say: (line: string) => void): Promise<string[]> {
  const failed: string[] = []
  for (const [behaviour, prove] of ROWS) {
    const startedAt = performance.now()
    try {
      await prove(stage)
      say(`ok      ${behaviour} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      failed.push(`${behaviour}: ${why}`)
      say(`FAILED  ${behaviour}: ${why}`)
    }
  }
  return failed
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { url: { type: 'string' }, 'socket-url': { type: 'string' }, token: { type: 'string' } },
  })
  const { url, token, 'socket-url': socketUrl } = values
  if (!url || !token || !socketUrl) {
    console.error('npm run smoke:aws -- --url URL --socket-url WSS-URL-WITH-STAGE --token JWT')
    process.exit(2)
  }
  const failed = await smoke({ url, socketUrl, token }, console.log)
  process.exit(failed.length > 0 ? 1 : 0)
}
