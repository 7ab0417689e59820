/** Keys typed one by one, on the whole product, while the handlers of their frames are held up by up to 100 ms. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { type Product, startProduct, type TestSocket } from '../support/product.ts'

/** The longest that a handler is held up, and what a fast typist takes from key to key at least, in milliseconds. */
const JITTER_MS = 100
const KEY_MS = 30
const KEYS = 300
/** Keys at once, so that as many handlers as will ever be needed have been started and have run. */
const WARM_UP_KEYS = 100
/** On a machine that does other things beside it, handlers take longer than they are meant to here. */
const MAX_LINES = 5

let product: Product
let jitter: () => number = () => 0
/** When each frame of a client or a container is given to its handler, in the order in which the gateway received them. */
const handledAt: number[] = []

beforeAll(async () => {
  product = await startProduct({
    webSocket: {
      jitterMs() {
        const jitterMs = jitter()
        handledAt.push(performance.now() + jitterMs)
        return jitterMs
      },
    },
  })
})
beforeEach(() => {
  jitter = () => 0
})
afterAll(() => product.close())

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'
/** Two neighbours are never the same: an exchange of any two is seen. */
const text = (length: number): string => Array.from({ length }, (_, n) => LETTERS[(n * 7) % LETTERS.length]).join('')

/** A terminal of a running agent, at its prompt. */
async function openTerminal(): Promise<{ socket: TestSocket; id: string }> {
  const owner = await product.member()
  const socket = await owner.socket({ transports: ['polling', 'websocket'] })
  await socket.upgraded()
  const { id } = await owner.spawn('')
  await socket.connectTerminal(id)
  await socket.seen(id, 'mock>')
  return { socket, id }
}

/** Types like a person: the waits between keys are what the tests are about. */
async function typeKeys(socket: TestSocket, agentId: string, keys: string, everyMs = KEY_MS): Promise<void> {
  for (const key of keys) {
    socket.type(agentId, key)
    if (everyMs > 0) await delay(everyMs)
  }
}

/** Resolves when so many characters have been echoed behind the last prompt, and answers them. */
const echoed = (socket: TestSocket, agentId: string, count: number): Promise<string> =>
  socket.until(() => {
    const line = socket.terminal(agentId).split('mock> ').at(-1) ?? ''
    return line.length >= count && line
  }, `${count} echoed keys`)

/** Ends the line and answers what the program has read. */
async function enter(socket: TestSocket, agentId: string): Promise<string | undefined> {
  const answers = () => socket.terminal(agentId).split('you said: ').slice(1)
  const before = answers().length
  socket.type(agentId, '\r')
  await socket.until(() => answers().length > before && answers().at(-1)?.includes('mock> '), 'the answer')
  return answers().at(-1)?.split('\r\n')[0]
}

/** How many inputs came outside the window, as the control plane's logs have it. */
const lateInputs = (agentId: string): number =>
  product.logs
    .filter(({ line }) => line.includes('Inputs outside the reorder window') && line.includes(agentId))
    .reduce((most, { line }) => Math.max(most, Number(/"lateInputs":(\d+)/.exec(line)?.[1] ?? 0)), 0)

it('arrives as the gateway received it, key by key', { timeout: 180_000 }, async () => {
  const { socket, id } = await openTerminal()
  await typeKeys(socket, id, text(WARM_UP_KEYS), 0)
  await echoed(socket, id, WARM_UP_KEYS)
  await enter(socket, id)

  const line = text(KEYS)
  for (let lines = 1, late = 0; ; lines++) {
    jitter = () => Math.random() * JITTER_MS
    handledAt.length = 0
    await typeKeys(socket, id, line)
    await echoed(socket, id, KEYS)
    const inversions = handledAt.filter((at, n) => at < (handledAt[n - 1] ?? 0)).length
    expect(inversions, 'frames that were handled before an earlier one').toBeGreaterThan(KEYS / 10)
    jitter = () => 0
    if ((await enter(socket, id)) === line) return
    // Only what was counted may be out of order: handlers took longer than the jitter they are given here.
    const before = late
    await vi.waitFor(() => expect(lateInputs(id)).toBeGreaterThan(before), { timeout: 40_000 })
    late = lateInputs(id)
    expect(lines, `lines with late keys (${late} in all)`).toBeLessThan(MAX_LINES)
  }
})

it('is counted and logged when it comes outside every window', { timeout: 90_000 }, async () => {
  const { socket, id } = await openTerminal()
  await typeKeys(socket, id, 'abc', 0)
  await echoed(socket, id, 3)
  jitter = () => {
    jitter = () => 0
    return 4_000
  }
  await typeKeys(socket, id, 'xyz', 10)
  expect(await echoed(socket, id, 6)).toMatch(/yzx$/)
  expect(await enter(socket, id)).toMatch(/yzx$/)
  await vi.waitFor(() => expect(lateInputs(id)).toBe(1), { timeout: 40_000 })
})
