/**
 * From a key press to its echo at the same client, with the container's reorder window and without it, with handlers that are
 * held up by up to 100 ms and without. The container is one without a terminal (test/load/fake-container.ts) that echoes at once
 * what the agent image's own reorder window lets through, so the window is all that differs.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { InputOrder } from '../../container-images/agent/src/input-order.ts'
import { TIMINGS } from '../../container-images/agent/src/timings.ts'
import { connectContainer, type Tickets } from '../load/fake-container.ts'
import { RawSocket } from '../load/raw-socket.ts'
import type { Product } from '../support/product.ts'
import { ms, printTable, sample } from './statistics.ts'

/** How long each message's handler is held up; read by the gateway at every message. */
export interface Jitter {
  ms: () => number
}

const KEYS = 150
/** Milliseconds from key to key: the bursts of a fast typist; at 100 ms a jitter of 100 ms would hardly bring two out of order. */
const KEY_EVERY_MS = 50
const JITTER_MS = 100
/** Keys at once before anything is measured, so that no function starts while it is. */
const WARM_UP_KEYS = 60
/** Milliseconds for all echoes. */
const PATIENCE_MS = 60_000

interface Typed {
  readonly delays: readonly number[]
  /** Keys echoed before one that was pressed earlier. */
  readonly overtaking: number
  readonly late: number
}

/** Each key is a number and a comma, so that an echo tells which key it is of. */
async function typed(product: Product, tickets: Tickets, jitter: Jitter, windowMs: number): Promise<Typed> {
  const member = await product.member()
  const socket = await RawSocket.join(product.url, member)
  const { id: agentId } = await member.spawn('')
  const order = new InputOrder((data) => container.write(data), {
    windowMs,
    ...(windowMs === 0 ? { maxWindowMs: 0 } : {}),
  })
  const container = await connectContainer(agentId, product.runtime.linkUrl, tickets, (message) => {
    if (message.type === 'input') order.accept(message)
  })
  try {
    await socket.connectTerminal(agentId)
    const echoes: { key: number; at: number }[] = []
    let rest = ''
    let onEcho = () => {}
    socket.on((name, { data }) => {
      if (name !== 'terminal_data') return
      const parts = (rest + String(data)).split(',')
      rest = parts.pop() ?? ''
      for (const key of parts) echoes.push({ key: Number(key), at: performance.now() })
      onEcho()
    })
    const echoed = (count: number) =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${echoes.length} of ${count} keys were echoed`)), PATIENCE_MS)
        onEcho = () => {
          if (echoes.length < count) return
          clearTimeout(timer)
          resolve()
        }
        onEcho()
      })
    const press = (key: number) => socket.emit('terminal_input', { type: 'input', agentId, data: `${key},` })
    for (let key = 0; key < WARM_UP_KEYS; key++) press(key)
    await echoed(WARM_UP_KEYS)
    const lateBefore = order.lateCount
    echoes.length = 0

    const pressedAt: number[] = []
    for (let key = 0; key < KEYS; key++) {
      pressedAt.push(performance.now())
      press(key)
      await delay(KEY_EVERY_MS)
    }
    await echoed(KEYS)
    return {
      delays: echoes.map(({ key, at }) => at - (pressedAt[key] ?? Number.NaN)),
      overtaking: echoes.filter(({ key }, n) => key > (echoes[n + 1]?.key ?? Number.POSITIVE_INFINITY)).length,
      late: order.lateCount - lateBefore,
    }
  } finally {
    jitter.ms = () => 0
    order.close()
    socket.close()
    await container.close()
    await member.call('DELETE', `/api/agents/${agentId}`)
  }
}

export async function benchTyping(
  product: Product,
  { tickets, jitter }: { tickets: Tickets; jitter: Jitter },
): Promise<void> {
  const rows = [['handlers held up', 'window', 'p50', 'p99', 'in the wrong place', 'counted as late']]
  product.runtime.faults.start.add({ kind: 'stay' })
  for (const [name, ofJitter] of [
    ['not', () => 0],
    [`up to ${JITTER_MS} ms`, () => Math.random() * JITTER_MS],
  ] as const) {
    for (const windowMs of [0, TIMINGS.inputWindowMs]) {
      jitter.ms = ofJitter
      const { delays, overtaking, late } = await typed(product, tickets, jitter, windowMs)
      const { p50, p99 } = sample(delays)
      rows.push([name, windowMs === 0 ? 'none' : ms(windowMs), ms(p50), ms(p99), String(overtaking), String(late)])
    }
  }
  product.runtime.faults.reset()
  printTable(`typing: key press to echo, ${KEYS} keys, one every ${KEY_EVERY_MS} ms`, rows)
}
