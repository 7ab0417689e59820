import type { Random } from './random.ts'

/**
 * How an event goes wrong on its way.
 * - `lose`: never arrives
 * - `double`: arrives twice; the second after `delayMs` (default 0)
 * - `delay`: arrives after `delayMs`
 * - `reorder`: held back until `window` events are held (default 3), then all arrive in a random order; what is held
 *   arrives at the latest after `maxHoldMs` (default 1,000)
 */
export type EventFault =
  | { readonly kind: 'lose' }
  | { readonly kind: 'double'; readonly delayMs?: number }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'reorder'; readonly window?: number; readonly maxHoldMs?: number }

/** Carries an event to `deliver` as the switched-on faults say. */
export interface EventDisturber {
  <Event>(event: Event, deliver: (event: Event) => void): void
  /** Delivers what is held back for reordering, in a random order. */
  release(): void
}

const DEFAULT_REORDER_WINDOW = 3
const DEFAULT_MAX_HOLD_MS = 1_000

/** Makes a disturber over a source of faults (one `take` per event). */
export function createEventDisturber(
  source: { take(event: unknown): EventFault | undefined },
  random: Random,
): EventDisturber {
  let held: (() => void)[] = []
  let holdTimer: NodeJS.Timeout | undefined

  function release(): void {
    clearTimeout(holdTimer)
    holdTimer = undefined
    const deliveries = shuffled(held, random)
    held = []
    for (const deliver of deliveries) deliver()
  }

  function disturb<Event>(event: Event, deliver: (event: Event) => void): void {
    const fault = source.take(event)
    switch (fault?.kind) {
      case undefined:
        deliver(event)
        return
      case 'lose':
        return
      case 'double':
        deliver(event)
        setTimeout(() => deliver(structuredClone(event)), fault.delayMs ?? 0)
        return
      case 'delay':
        setTimeout(() => deliver(event), fault.delayMs)
        return
      case 'reorder':
        held.push(() => deliver(event))
        if (held.length >= (fault.window ?? DEFAULT_REORDER_WINDOW)) release()
        else holdTimer ??= setTimeout(release, fault.maxHoldMs ?? DEFAULT_MAX_HOLD_MS)
        return
    }
  }
  return Object.assign(disturb, { release })
}

/** A random permutation (Fisher–Yates) that differs from the given order whenever there are two or more items. */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const order = items.map((_, index) => index)
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1))
    ;[order[last], order[other]] = [order[other] as number, order[last] as number]
  }
  // A permutation that happens to be the identity would make a test of reordering test nothing.
  if (order.length > 1 && order.every((from, to) => from === to)) order.push(order.shift() as number)
  return order.map((index) => items[index] as Item)
}
