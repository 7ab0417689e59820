/** Keys typed one by one, on the whole product, while the handlers of their frames are held up by up to 100 ms. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Product, startProduct, type TestSocket } from '../support/product.ts'

/** The longest that a handler is held up, and what a fast typist takes from key to key at least, in milliseconds. */
const JITTER_MS = 100
const KEY_MS = 30
const KEYS = 300
/** Below what a terminal takes as one line (4,096), and long enough for every handler that is needed to be warm. */
const WARM_UP_KEYS = 60

let product: Product
let isJittering = false
/** Where each frame of a client or a container would come among the others if nobody put keys back into order. */
const handledAt: number[] = []

beforeAll(async () => {
  product = await startProduct({
    // Keys alone are counted: no ping is answered beside them.
    scheduleRate: 0,
    webSocket: {
      jitterMs() {
        const jitterMs = isJittering ? Math.random() * JITTER_MS : 0
        handledAt.push(performance.now() + jitterMs)
        return jitterMs
      },
    },
  })
})
afterAll(() => product.close())

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'
/** So that two neighbours are never the same: an exchange of any two is seen. */
const text = (length: number): string => Array.from({ length }, (_, n) => LETTERS[(n * 7) % LETTERS.length]).join('')

/** Types like a person: the waits between keys are what the test is about. */
async function typeKeys(socket: TestSocket, agentId: string, keys: string): Promise<void> {
  for (const key of keys) {
    socket.type(agentId, key)
    await delay(KEY_MS)
  }
  socket.type(agentId, '\r')
}

it('arrives as the gateway received it, key by key', async () => {
  const owner = await product.member()
  const socket = await owner.socket({ transports: ['polling', 'websocket'] })
  await socket.upgraded()
  const { id } = await owner.spawn('')
  await socket.connectTerminal(id)
  await socket.seen(id, 'mock>')

  // Earlier typing, as there is before any long line: functions are warm then, and the window knows this machine.
  isJittering = true
  await typeKeys(socket, id, text(WARM_UP_KEYS))
  await socket.seen(id, 'you said: ')

  handledAt.length = 0
  const line = text(KEYS)
  await typeKeys(socket, id, line)
  await socket.until(() => socket.terminal(id).split('you said: ').length > 2, 'the second answer')
  isJittering = false

  const inversions = handledAt.filter((at, n) => at < (handledAt[n - 1] ?? 0)).length
  expect(inversions, 'frames that were handled before an earlier one').toBeGreaterThan(KEYS / 10)
  const heard = socket.terminal(id).split('you said: ').at(-1)?.split('\r\n')[0]
  expect(heard).toBe(line)
})
