/**
 * 10,000 events to a tab of the frontend as it is: unmodified socket.io-client, two sockets with the options of the contract
 * (§4), each over polling, through the upgrade to WebSocket in the middle of the stream, and across a lost TCP connection.
 */
import type { ManagerOptions, SocketOptions } from 'socket.io-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { chatEntry } from '../../shared/domain/chat/message.ts'
import type { NewChatEntry } from '../../shared/domain/chat/ports.ts'
import { appendInBulk } from '../support/bulk-ledger.ts'
import { type Product, startProduct, type TestMember, type TestSocket } from '../support/product.ts'

type Options = Partial<ManagerOptions & SocketOptions>
const APP: Options = {
  transports: ['polling', 'websocket'],
  reconnectionAttempts: 3,
  reconnectionDelay: 2_000,
  reconnectionDelayMax: 10_000,
  rememberUpgrade: true,
}
const SECOND: Options = {
  transports: ['polling', 'websocket'],
  reconnectionAttempts: 3,
  reconnectionDelay: 1_000,
  reconnectionDelayMax: 5_000,
  extraHeaders: { 'Cache-Control': 'no-cache' },
}

const EVENTS = 10_000
/** Committed at once; the message that a member says behind each batch sets off the delivery of all of it. */
const BATCH = 500
/** The connections are lost when so many events have come to both. */
const DROP_AT = 7_000
/** How long the probes of the upgrade are held up, so that a good part of the stream comes over polling; 10 s would end them. */
const PROBE_HELD_MS = 6_000

let product: Product
let framesHeldUntil = 0
beforeAll(async () => {
  product = await startProduct({ webSocket: { jitterMs: () => Math.max(0, framesHeldUntil - performance.now()) } })
})
afterAll(() => product.close())

/** What the events of a socket say, in the order in which they came, and over what each came. */
class Log {
  readonly texts: string[] = []
  readonly transports = new Map<string, number>()
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = []

  constructor({ socket }: TestSocket) {
    socket.on('chat-message', ({ content }: { content: string }) => {
      const { name } = socket.io.engine.transport
      this.transports.set(name, (this.transports.get(name) ?? 0) + 1)
      const length = this.texts.push(content)
      for (const { count, resolve } of this.#waiting) if (count === length) resolve()
    })
  }

  /** Resolves when so many have come. */
  reached(count: number): Promise<void> {
    if (this.texts.length >= count) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ count, resolve }))
  }
}

const textOf = (n: number): string => `event ${String(n).padStart(5, '0')} ${'.'.repeat(60)}`

/** Chat messages as the function that takes them commits them; but for the history, which is not looked at here. */
function entries({ userId, teamId }: TestMember, from: number, count: number): NewChatEntry[] {
  return Array.from({ length: count }, (_, i) =>
    chatEntry(
      { userId, teamId, userName: userId },
      { id: `bulk-${from + i}`, text: textOf(from + i), at: Date.now(), correlationId: 'bulk' },
    ),
  )
}

it('come to each socket exactly once and in order, and the terminal stays alive', { timeout: 180_000 }, async () => {
  const ada = await product.member()
  const { id } = await ada.spawn('')
  // An earlier visit: functions are warm then, and the time that probes are held is the stream's. Over polling, because the
  // client remembers for the whole process that a WebSocket has worked.
  const visit = await ada.socket({ transports: ['polling'] })
  await visit.connectTerminal(id)
  await visit.seen(id, 'mock>')
  visit.socket.disconnect()

  framesHeldUntil = performance.now() + PROBE_HELD_MS
  const [app, second] = await Promise.all([ada.socket(APP), ada.socket(SECOND)])
  // The second socket does not join again after a reconnect.
  second.socket.off('connect')
  const logs = [app, second].map((socket) => new Log(socket))
  await app.connectTerminal(id)
  app.type(id, 'over polling\r')

  const expected: string[] = []
  const tabHas = (count: number) => Promise.all(logs.map((log) => log.reached(count)))
  const produce = async (until: number): Promise<void> => {
    while (expected.length < until) {
      const batch = entries(ada, expected.length, BATCH - 1)
      await appendInBulk(product, batch)
      expected.push(...batch.map(({ event }) => event[1].content))
      const said = `said ${expected.length}`
      app.socket.emit('chat-message', { teamId: ada.teamId, message: said })
      expected.push(said)
      // The next batch is committed behind what was said, or the order would not be known here.
      await Promise.race(logs.map((log) => log.reached(expected.length)))
    }
  }

  const upgraded = Promise.all([app.upgraded(), second.upgraded()])
  await produce(DROP_AT)
  await tabHas(DROP_AT)
  await upgraded
  await app.seen(id, 'you said: over polling')
  app.type(id, 'after the upgrade\r')
  await app.seen(id, 'you said: after the upgrade')

  const back = Promise.all(
    [app, second].map(({ socket }) => new Promise<void>((resolve) => socket.once('connect', resolve))),
  )
  const connections = product.runtime.webSockets.connectionIds()
  const dropping = entries(ada, expected.length, BATCH)
  await appendInBulk(product, dropping)
  expected.push(...dropping.map(({ event }) => event[1].content))
  app.socket.emit('chat-message', { teamId: ada.teamId, message: 'said while it breaks' })
  expected.push('said while it breaks')
  // In the middle of that delivery.
  await logs[0]?.reached(DROP_AT + BATCH / 4)
  for (const connection of connections) product.runtime.webSockets.drop(connection)
  await back
  await produce(EVENTS)
  await tabHas(expected.length)
  app.type(id, 'after the drop\r')
  await app.seen(id, 'you said: after the drop')

  expect(expected.length).toBeGreaterThanOrEqual(EVENTS)
  for (const { texts, transports } of logs) {
    expect(texts).toEqual(expected)
    expect(transports.get('polling') ?? 0).toBeGreaterThan(EVENTS / 10)
    expect(transports.get('websocket') ?? 0).toBeGreaterThan(EVENTS / 10)
  }
  expect([...app.of('error'), ...second.of('error')]).toEqual([])
})
