/** A team of more connections than one call tells, on the whole product: those that are left to the queue hear it without the sweep. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SHARE } from '../../shared/domain/realtime/limits.ts'
import { inTurns, RawSocket } from '../load/raw-socket.ts'
import { type Product, startProduct } from '../support/product.ts'

const SOCKETS = SHARE + 5
const MESSAGES = ['one', 'two', 'three']

let product: Product
let batches = 0
beforeAll(async () => {
  product = await startProduct({
    // No schedule runs: what arrives has come without the sweep, and nothing is pinged.
    scheduleRate: 0,
    onTraffic(where) {
      if (where === 'sqs SendMessageBatch') batches++
    },
  })
})
afterAll(() => product.close())

it('every connection of a large team hears what is said, once and in order', { timeout: 120_000 }, async () => {
  const member = await product.member()
  const sockets = await inTurns(SOCKETS, 8, () => RawSocket.join(product.url, member))
  const heard = sockets.map((socket) => {
    const messages: unknown[] = []
    socket.on((name, { content }) => void (name === 'chat-message' && messages.push(content)))
    return messages
  })
  for (const message of MESSAGES) {
    const told = sockets.map((socket) => socket.next('chat-message', ({ content }) => content === message))
    sockets[0]?.emit('chat-message', { teamId: member.teamId, message })
    await Promise.all(told)
  }
  expect(heard).toEqual(sockets.map(() => MESSAGES))
  expect(batches).toBeGreaterThanOrEqual(MESSAGES.length)
  for (const socket of sockets) socket.close()
})
