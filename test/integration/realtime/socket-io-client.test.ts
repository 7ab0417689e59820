import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LedgerEntry } from '../../../shared/domain/ledger/schema.ts'
import { tellRoom } from '../../../shared/domain/realtime/fan-out.ts'
import { appendOutput } from '../../../shared/domain/terminal/append.ts'
import { type Gateway, startGateway } from './gateway.ts'

const TEAM = 'team-1'
const TOKEN = `ann@${TEAM}`

let gateway: Gateway
const sockets: Socket[] = []
beforeEach(async () => {
  gateway = await startGateway({ jitterMs: 20 })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.disconnect()
  await gateway.close()
  expect(gateway.failures).toEqual([])
})

function connect(options: Partial<ManagerOptions & SocketOptions> = {}): Socket {
  const socket = io(gateway.url, { auth: { token: TOKEN }, forceNew: true, reconnectionDelay: 50, ...options })
  sockets.push(socket)
  return socket
}

const once = <T = unknown>(socket: Socket, event: string): Promise<T> =>
  new Promise((resolve) => {
    socket.once(event, (payload: T) => resolve(payload))
  })

function messagesOf(socket: Socket): string[] {
  const messages: string[] = []
  socket.on('agent-status', ({ message }: { message: string }) => messages.push(message))
  return messages
}

const messageOf = ({ event }: LedgerEntry): unknown => (event?.[0] === 'agent-status' ? event[1].message : undefined)

async function join(socket: Socket): Promise<unknown> {
  const joined = once(socket, 'team-joined')
  socket.emit('join-team', { teamId: TEAM, token: TOKEN })
  return joined
}

async function output(agentId: string, offset: number, data: string): Promise<void> {
  const { deps } = gateway.world
  await appendOutput({ teamId: TEAM, id: agentId }, { generation: 1, offset, data }, deps)
  await tellRoom({ kind: 'terminal', teamId: TEAM, agentId }, deps)
}

const engineOf = (socket: Socket) => socket.io.engine

describe.each([
  ['polling only', { transports: ['polling'] }],
  ['polling, then upgraded', { transports: ['polling', 'websocket'] }],
  ['WebSocket only', { transports: ['websocket'] }],
] as const)('an unmodified socket.io-client, %s', (_name, { transports }) => {
  it('connects, joins, and is told everything once and in order', async () => {
    const socket = connect({ transports: [...transports] })
    const messages = messagesOf(socket)
    await once(socket, 'connect')
    expect(await join(socket)).toEqual({ teamId: TEAM, userId: 'ann', messages: [] })
    await Promise.all(Array.from({ length: 10 }, () => gateway.world.tell(TEAM)))
    const all = gateway.world.ledger.ledgerOf(TEAM).map(messageOf)
    await vi.waitFor(() => expect(messages).toHaveLength(10))
    expect(messages).toEqual(all)
    await vi.waitFor(() => expect(engineOf(socket).transport.name).toBe(transports.at(-1)))
  })

  it('resumes after its connection broke: nothing is lost, nothing comes twice, the terminal goes on', async () => {
    gateway.world.addAgent({ id: 'agent-1', createdBy: { userId: 'ann', userName: 'Ann' } })
    const socket = connect({ transports: [...transports] })
    const messages = messagesOf(socket)
    let shown = ''
    socket.on('terminal_data', ({ data }: { data: string }) => {
      shown += data
    })
    await once(socket, 'connect')
    await join(socket)
    const connected = once(socket, 'terminal_connected')
    socket.emit('terminal_connect', { agentId: 'agent-1' })
    expect(await connected).toEqual({ agentId: 'agent-1', isOwner: true })
    await output('agent-1', 0, 'before ')
    await gateway.world.tell(TEAM, 'before')
    await vi.waitFor(() => expect([messages, shown]).toEqual([['before'], 'before ']))
    const reconnected = once(socket, 'connect')
    gateway.cut()
    await gateway.world.tell(TEAM, 'meanwhile')
    await output('agent-1', 7, 'meanwhile ')
    await reconnected
    await gateway.world.tell(TEAM, 'after')
    await output('agent-1', 17, 'after')
    await vi.waitFor(() => expect(shown).toBe('before meanwhile after'))
    await vi.waitFor(() => expect(messages).toEqual(['before', 'meanwhile', 'after']))
  })

  it('is refused with a bad token, in words that make the frontend sign in anew', async () => {
    const socket = connect({ transports: [...transports], auth: { token: 'nobody' } })
    const error = await once<Error>(socket, 'connect_error')
    expect(error.message).toBe('Authentication failed')
  })
})

it('shows a late joiner the history, and again on a repeated terminal_connect', async () => {
  gateway.world.addAgent({ id: 'agent-1', createdBy: { userId: 'ann', userName: 'Ann' }, status: 'completed' })
  await output('agent-1', 0, 'all of it')
  const socket = connect({ auth: { token: `bob@${TEAM}` } })
  let shown = ''
  socket.on('terminal_data', ({ data }: { data: string }) => {
    shown += data
  })
  await once(socket, 'connect')
  socket.emit('terminal_connect', { agentId: 'agent-1' })
  expect(await once(socket, 'terminal_connected')).toEqual({ agentId: 'agent-1', isOwner: false })
  await vi.waitFor(() => expect(shown).toBe('all of it'))
  socket.emit('terminal_connect', { agentId: 'agent-1' })
  await vi.waitFor(() => expect(shown).toBe('all of itall of it'))
})

it('does not take trouble of ours for a bad token: the transport fails and the client comes again', async () => {
  gateway.world.fault.verifyToken = new Error('Secrets Manager is down')
  const socket = connect({ transports: ['websocket'] })
  const errors: string[] = []
  socket.on('connect_error', (error) => errors.push(error.message))
  await vi.waitFor(() => expect(gateway.failures.length).toBeGreaterThan(0))
  delete gateway.world.fault.verifyToken
  await once(socket, 'connect')
  expect(errors.join()).not.toContain('Authentication')
  gateway.failures.length = 0
})
