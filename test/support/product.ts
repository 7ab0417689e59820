/** The whole product on free ports with a state folder of its own, and its users: members with tokens and sockets. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { SignJWT } from 'jose'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import * as z from 'zod'
import { type Runtime, type RuntimeOptions, startRuntime } from '../../local/runtime.ts'
import { type AgentView, AgentViewSchema } from '../../shared/contracts/agents.ts'
import { assemblyDirectory } from './global-setup.ts'

export const JWT_SECRET = 'a-secret-for-tests'
export const MODEL_KEY = 'model-key-of-the-tests-0123456789'

export type Product = Awaited<ReturnType<typeof startProduct>>

export async function startProduct(options: Partial<RuntimeOptions> = {}) {
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'covibes-'))
  const logs: { source: string; line: string }[] = []
  const runtime: Runtime = await startRuntime({
    assemblyDirectory,
    stateDir,
    port: 0,
    jwtSecret: JWT_SECRET,
    modelKey: MODEL_KEY,
    onLog: (source, line) => logs.push({ source, line }),
    latencies: { provisioningMs: 20, pendingMs: 20, deactivatingMs: 0, deprovisioningMs: 20 },
    ...options,
  })
  let members = 0
  const sockets: Socket[] = []
  const dynamodb = new DynamoDBClient({
    endpoint: runtime.dynamodb.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
  })
  return {
    runtime,
    /** The tables as operators see them. */
    tables: DynamoDBDocumentClient.from(dynamodb),
    url: runtime.url,
    stateDir,
    logs,
    /** A member; of a new team unless one is named. */
    async member(teamId = `team-${Math.random().toString(36).slice(2, 10)}`, userId = `user-${++members}`) {
      return memberOf(runtime.url, { teamId, userId, token: await tokenOf({ teamId, userId }) }, sockets)
    },
    async close({ keepState = false } = {}) {
      for (const socket of sockets) socket.disconnect()
      dynamodb.destroy()
      await runtime.close()
      if (!keepState) rmSync(stateDir, { recursive: true, force: true })
    },
  }
}

export const tokenOf = (claims: Record<string, unknown>, expires: string | number = '1h', secret = JWT_SECRET) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secret))

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}
type Member = { readonly teamId: string; readonly userId: string; readonly token: string }
export type TestMember = ReturnType<typeof memberOf>

function memberOf(url: string, member: Member, sockets: Socket[]) {
  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        authorization: `Bearer ${member.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
  }
  const agentOf = (answer: Answer): AgentView => z.object({ agent: AgentViewSchema }).parse(answer.body).agent
  return {
    ...member,
    call,
    async spawn(task: string, fields: Record<string, unknown> = {}): Promise<AgentView> {
      return agentOf(await call('POST', '/api/agents/spawn', { agentType: 'mock', task, ...fields }))
    },
    async agent(id: string): Promise<AgentView> {
      return agentOf(await call('GET', `/api/agents/${id}`))
    },
    /** Stops all of the team's containers, workspace sync with them. */
    async stopEnvironment(): Promise<void> {
      const { status, body } = await call('POST', `/api/environments/${member.teamId}/stop`)
      if (status !== 200) throw new Error(`the environment is not stopped (${status}): ${JSON.stringify(body)}`)
    },
    /** A connected socket that has joined the team, with everything it was sent. */
    async socket(options: Partial<ManagerOptions & SocketOptions> = {}): Promise<TestSocket> {
      const socket = io(url, { auth: { token: member.token }, forceNew: true, ...options })
      sockets.push(socket)
      const received = new TestSocket(socket)
      socket.on('connect', () => socket.emit('join-team', { teamId: member.teamId, token: member.token }))
      await received.next('team-joined')
      return received
    },
  }
}

/** Listens to everything a socket is sent and waits for what is to come. */
export class TestSocket {
  readonly socket: Socket
  readonly events: { readonly name: string; readonly payload: Record<string, unknown> }[] = []
  readonly #waiting = new Set<() => void>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.onAny((name: string, payload: Record<string, unknown>) => {
      this.events.push({ name, payload })
      for (const look of this.#waiting) look()
    })
  }

  of(name: string): Record<string, unknown>[] {
    return this.events.flatMap((event) => (event.name === name ? [event.payload] : []))
  }

  /** Resolves with the first event, past or to come, that fits. Rejects after `timeoutMs` with what came instead. */
  next(name: string, fits: (payload: Record<string, unknown>) => boolean = () => true, timeoutMs = 20_000) {
    return this.until(() => this.of(name).find(fits), `event ${name}`, timeoutMs)
  }

  /** Resolves when `look` gives something; asked again at every event. */
  until<T>(look: () => T | undefined | false, what: string, timeoutMs = 20_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiting.delete(check)
        clearTimeout(timer)
      }
      const check = () => {
        const found = look()
        if (!found) return
        settle()
        resolve(found)
      }
      const timer = setTimeout(() => {
        settle()
        const came = this.events.map(({ name, payload }) => `${name} ${JSON.stringify(payload).slice(0, 200)}`)
        reject(new Error(`no ${what} within ${timeoutMs} ms; came:\n${came.slice(-20).join('\n')}`))
      }, timeoutMs)
      this.#waiting.add(check)
      check()
    })
  }

  /** Resolves when the connection has moved from polling to WebSocket. */
  async upgraded(): Promise<void> {
    const { engine } = this.socket.io
    if (engine.transport.name === 'websocket') return
    await new Promise<void>((resolve) => engine.once('upgrade', () => resolve()))
  }

  /** The agent's terminal as this socket has seen it since it connected to it. */
  terminal(agentId: string): string {
    return this.of('terminal_data')
      .flatMap((payload) => (payload.agentId === agentId ? [String(payload.data)] : []))
      .join('')
  }

  connectTerminal(agentId: string): Promise<Record<string, unknown>> {
    this.socket.emit('terminal_connect', { agentId })
    return this.next('terminal_connected', (payload) => payload.agentId === agentId)
  }

  type(agentId: string, data: string): void {
    this.socket.emit('terminal_input', { type: 'input', agentId, data })
  }

  seen(agentId: string, text: string, timeoutMs?: number): Promise<string> {
    const look = () => this.terminal(agentId).includes(text) && this.terminal(agentId)
    return this.until(look, `"${text}" in the terminal (has: ${this.terminal(agentId).slice(-300)})`, timeoutMs)
  }

  /** The statuses of an agent that this socket was told, in order. */
  statuses(agentId: string): unknown[] {
    return this.of('agent-status').flatMap((payload) => (payload.agentId === agentId ? [payload.status] : []))
  }

  ended(agentId: string, timeoutMs?: number) {
    const isFinal = (status: unknown) => status === 'completed' || status === 'failed' || status === 'killed'
    return this.next('agent-status', (p) => p.agentId === agentId && isFinal(p.status), timeoutMs)
  }
}
