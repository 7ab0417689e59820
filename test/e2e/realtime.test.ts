/** The socket as browsers use it, on the whole product: chat, terminals and resumes with the unmodified socket.io-client. */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ManagerOptions, SocketOptions } from 'socket.io-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Product, startProduct, type TestMember, type TestSocket } from '../support/product.ts'
import { workspaceOf } from '../support/workspaces.ts'

type Options = Partial<ManagerOptions & SocketOptions>
/** The frontend's two sockets (§4 of its contract); only their waits before a reconnect are shorter. */
const APP: Options = { transports: ['polling', 'websocket'], reconnectionDelay: 50, rememberUpgrade: true }
const SECOND: Options = {
  transports: ['polling', 'websocket'],
  reconnectionDelay: 50,
  extraHeaders: { 'Cache-Control': 'no-cache' },
}
const POLLING: Options = { transports: ['polling'] }

const chatOf = (socket: TestSocket): unknown[] => socket.of('chat-message').map(({ content }) => content)
const historyOf = (socket: TestSocket): unknown[] =>
  socket
    .of('team-joined')
    .slice(-1)
    .flatMap(({ messages }) => (messages as { content: string }[]).map(({ content }) => content))

/** Says it and waits until it has come back. */
async function say(member: TestMember, socket: TestSocket, message: string): Promise<void> {
  socket.socket.emit('chat-message', { teamId: member.teamId, message })
  await socket.next('chat-message', ({ content, userId }) => content === message && userId === member.userId)
}

/** Resolves at the socket's next connect. */
const reconnected = (socket: TestSocket): Promise<void> =>
  new Promise((resolve) => {
    socket.socket.once('connect', resolve)
  })

/** Why the connection ends next: the close code of the WebSocket. */
const closeCode = (socket: TestSocket): Promise<unknown> =>
  new Promise((resolve) => {
    socket.socket.once('disconnect', (_reason, details) => {
      const context = details && 'context' in details ? (details.context as { code?: unknown }) : undefined
      resolve(context?.code)
    })
  })

async function runningAgent(member: TestMember, socket: TestSocket, task = ''): Promise<string> {
  const { id } = await member.spawn(task)
  await socket.next('agent-status', ({ agentId, status }) => agentId === id && status === 'running')
  return id
}

describe('on the platform as it is', () => {
  let product: Product
  beforeAll(async () => {
    product = await startProduct()
  })
  afterAll(() => product.close())

  const dropAll = () => {
    for (const id of product.runtime.webSockets.connectionIds()) product.runtime.webSockets.drop(id)
  }

  it('a tab with two sockets, and the other members, get every chat message once and in one order, across drops', async () => {
    const ada = await product.member()
    const bob = await product.member(ada.teamId)
    const cyd = await product.member(ada.teamId)
    const cydsSocket = await cyd.socket(POLLING)
    const app = await ada.socket(APP)
    const second = await ada.socket(SECOND)
    // The second socket does not join again after a reconnect.
    second.socket.off('connect')
    const bobs = await bob.socket(APP)
    const watching = [app, second, bobs]
    await Promise.all(watching.map((socket) => socket.upgraded()))

    const count = 12
    for (let n = 0; n < count; n++) {
      await (n % 2 === 0 ? say(ada, app, `ada ${n}`) : say(bob, bobs, `bob ${n}`))
      if (n % 4 !== 3) continue
      const back = Promise.all(watching.map(reconnected))
      dropAll()
      await say(cyd, cydsSocket, `cyd ${n}`)
      await back
    }
    const everything = chatOf(cydsSocket)
    expect(everything).toHaveLength(count + 3)
    await Promise.all(
      watching.map((socket) => socket.until(() => chatOf(socket).length >= count + 3, 'the whole chat')),
    )
    // What comes with the next message would be the doubles.
    await say(cyd, cydsSocket, 'over')
    for (const socket of watching) {
      await socket.next('chat-message', ({ content }) => content === 'over')
      expect(chatOf(socket)).toEqual([...everything, 'over'])
    }
    const late = await bob.socket(POLLING)
    expect(historyOf(late)).toEqual([...everything, 'over'])
    const stranger = await (await product.member()).socket(POLLING)
    expect(historyOf(stranger)).toEqual([])
  })

  it('a terminal goes on by itself after a drop, and lines come to who asked for them', async () => {
    const owner = await product.member()
    const socket = await owner.socket(APP)
    await socket.upgraded()
    const id = await runningAgent(owner, socket)
    await socket.connectTerminal(id)
    await socket.seen(id, 'mock>')
    socket.socket.emit('agent_output_subscribe', { agentId: id })
    socket.type(id, 'before\r')
    await socket.seen(id, 'you said: before')
    for (const word of ['one', 'two', 'three']) {
      const back = reconnected(socket)
      dropAll()
      await back
      socket.type(id, `${word}\r`)
      await socket.seen(id, `you said: ${word}`)
    }
    const lines = () =>
      socket.of('agent-output').flatMap((payload) => (payload.lines as { line: string }[]).map(({ line }) => line))
    await socket.until(() => lines().includes('you said: three'), 'the last line')
    expect(lines().filter((line) => line.startsWith('you said'))).toEqual(
      ['before', 'one', 'two', 'three'].map((word) => `you said: ${word}`),
    )
    expect(socket.terminal(id).match(/you said/g)).toHaveLength(4)
  })

  it('container_action stops and starts an agent; what is refused is told as error', async () => {
    const owner = await product.member()
    const socket = await owner.socket(APP)
    const id = await runningAgent(owner, socket)
    socket.socket.emit('container_action', { containerId: id, action: 'stop' })
    await socket.ended(id)
    socket.socket.emit('container_action', { containerId: id, action: 'start' })
    await socket.until(
      () => socket.statuses(id).filter((status) => status === 'running').length === 2,
      'a second start',
    )
    const stranger = await (await product.member()).socket(POLLING)
    stranger.socket.emit('container_action', { containerId: id, action: 'stop' })
    expect(await stranger.next('error')).toEqual({ message: `Container ${id} not found` })
    expect((await owner.agent(id)).status).toBe('running')
  })

  it('a paste of 1 MB arrives whole over polling', { timeout: 180_000 }, async () => {
    const owner = await product.member()
    const socket = await owner.socket(POLLING)
    const id = await runningAgent(owner, socket)
    await socket.connectTerminal(id)
    await socket.seen(id, 'mock>')
    const texts = Array.from({ length: 500 }, (_, n) => `${n} `.padEnd(1_970, 'abcdefghij'))
    const paste = texts.map((text, n) => `write paste/${String(n).padStart(3, '0')} ${text}\r`).join('')
    expect(paste.length).toBeGreaterThan(990_000)
    socket.type(id, paste)
    await socket.seen(id, 'wrote paste/499', 150_000)
    const files = globSync(join(workspaceOf(product, owner.teamId), 'paste', '*')).sort()
    expect(files.map((file) => basename(file))).toEqual(texts.map((_, n) => String(n).padStart(3, '0')))
    expect(files.map((file) => readFileSync(file, 'utf8').trimEnd())).toEqual(texts)
    expect(socket.of('terminal_error')).toEqual([])
  })

  it('a frame over 32 KB closes the WebSocket with 1009, and the session recovers with its terminal', async () => {
    const owner = await product.member()
    const socket = await owner.socket(APP)
    await socket.upgraded()
    const id = await runningAgent(owner, socket)
    await socket.connectTerminal(id)
    await socket.seen(id, 'mock>')
    const [code, back] = [closeCode(socket), reconnected(socket)]
    socket.type(id, 'x'.repeat(40_000))
    expect(await code).toBe(1009)
    await back
    socket.type(id, 'still here\r')
    await socket.seen(id, 'you said: still here')
    expect(socket.terminal(id)).not.toContain('xxx')
  })
})

describe('with connections cut after seconds', () => {
  const MAX_DURATION_MS = 4_000
  const IDLE_TIMEOUT_MS = 1_500
  let product: Product
  beforeAll(async () => {
    product = await startProduct({ webSocket: { maxDurationMs: MAX_DURATION_MS, idleTimeoutMs: IDLE_TIMEOUT_MS } })
  })
  afterAll(() => product.close())

  it('the longest duration: a terminal that is always busy misses nothing and repeats nothing', async () => {
    const owner = await product.member()
    const socket = await owner.socket(APP)
    await socket.upgraded()
    const id = await runningAgent(owner, socket)
    await socket.connectTerminal(id)
    await socket.seen(id, 'mock>')
    let cuts = 0
    socket.socket.on('disconnect', () => cuts++)
    // Ten seconds of output: more than two lives of a connection, the container's link included.
    socket.type(id, 'clock 200 50; done\r')
    await socket.seen(id, 'you said: done', 45_000)
    const times = [...socket.terminal(id).matchAll(/clock (\d{13})\r\n/g)].map(([, time]) => Number(time))
    expect(times).toHaveLength(200)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(cuts).toBeGreaterThanOrEqual(2)
  })

  it('the idle time-out: a member who only looks on comes back each time, and is told what was said', async () => {
    const ada = await product.member()
    const bob = await product.member(ada.teamId)
    const quiet = await ada.socket(APP)
    const talking = await bob.socket(POLLING)
    await quiet.upgraded()
    for (const text of ['first', 'second', 'third']) {
      await reconnected(quiet)
      await say(bob, talking, text)
    }
    await quiet.until(() => chatOf(quiet).length >= 3, 'all three')
    await say(bob, talking, 'over')
    await quiet.next('chat-message', ({ content }) => content === 'over')
    expect(chatOf(quiet)).toEqual(['first', 'second', 'third', 'over'])
    expect(quiet.of('error')).toEqual([])
  })
})
