import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { InputOrder } from '../../../container-images/agent/src/input-order.ts'
import { TIMINGS } from '../../../container-images/agent/src/timings.ts'

/** The gateway's clock is this far ahead of the container's. */
const SKEW = 1_000_000
const WINDOW = 40

let written: string[]
let order: InputOrder
beforeEach(() => {
  vi.useFakeTimers()
  written = []
  order = new InputOrder((data) => written.push(data), { windowMs: WINDOW, now: () => Date.now() })
})
afterEach(() => vi.useRealTimers())

const input = (at: number, data: string, id = data) => ({ id, at: at + SKEW, data })

/** Lets inputs arrive at their times; `sent` is the gateway's time, `delay` the way's. */
function play(inputs: readonly { sent: number; delay: number; data: string }[]): void {
  const start = Date.now()
  const arrivals = inputs.map((one) => ({ ...one, arrival: one.sent + one.delay }))
  arrivals.sort((a, b) => a.arrival - b.arrival)
  for (const one of arrivals) {
    vi.advanceTimersByTime(Math.max(0, start + one.arrival - Date.now()))
    order.accept(input(start + one.sent, one.data))
  }
  vi.advanceTimersByTime(1000)
}

describe('the order of typed input', () => {
  it('is the gateway’s, whatever the delays within the window', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ gap: fc.integer({ min: 1, max: 50 }), delay: fc.integer({ min: 0, max: WINDOW - 1 }) }), {
          maxLength: 40,
        }),
        (steps) => {
          written = []
          order = new InputOrder((data) => written.push(data), { windowMs: WINDOW, now: () => Date.now() })
          let sent = 0
          const inputs = steps.map(({ gap, delay }, index) => {
            sent += gap
            return { sent, delay, data: String(index).padStart(3, '0') }
          })
          play(inputs)
          expect(written).toEqual(inputs.map((one) => one.data))
          expect(order.lateCount).toBe(0)
        },
      ),
    )
  })

  it('covers handlers that jitter by 100 ms', () => {
    expect(TIMINGS.inputWindowMs).toBeGreaterThan(100)
  })

  it('of one millisecond is that in which requests came, their pieces together and in order', () => {
    order.accept(input(5, 'b1', 'b-00001'))
    order.accept(input(5, 'a0', 'a-00000'))
    order.accept(input(5, 'b0', 'b-00000'))
    order.accept(input(5, 'a1', 'a-00001'))
    order.accept(input(4, 'earlier', 'z-00000'))
    vi.advanceTimersByTime(WINDOW)
    order.accept(input(5, 'a2', 'a-00002'))
    vi.advanceTimersByTime(WINDOW)
    expect(written).toEqual(['earlier', 'b0', 'b1', 'a0', 'a1', 'a2'])
    expect(order.lateCount).toBe(0)
  })

  it('is kept while handlers start cold, as soon as one key has shown it', () => {
    const cold = (sent: number) => ({ sent, delay: 400 + (sent % 70), data: `cold ${sent}` })
    const warm = (sent: number) => ({ sent, delay: 10, data: `warm ${sent}` })
    // A warm key has set the clock; the keys from 5,000 ms on find their handler busy, and new ones start.
    const keys = [warm(0), cold(5_000), cold(5_100), cold(5_200), cold(5_300), warm(5_420), cold(5_500), warm(5_600)]
    play(keys)
    expect(written).toEqual(keys.map(({ data }) => data))
    expect(order.lateCount).toBe(0)
  })

  it('is kept when the very first keys are the ones that start handlers', () => {
    const delays = [420, 400, 430, 410, 10, 12, 395, 10]
    const keys = delays.map((delay, n) => ({ sent: n * 110, delay, data: `key ${n}` }))
    play(keys)
    expect(written).toEqual(keys.map(({ data }) => data))
    expect(order.lateCount).toBe(0)
  })

  it('is held for a widened window only as long as slow keys come, and never beyond the longest', () => {
    const start = Date.now()
    order.accept(input(start, 'a'))
    vi.advanceTimersByTime(1000)
    expect(order.windowMs).toBe(WINDOW)
    order.accept(input(Date.now() - 500, 'slow'))
    expect(order.windowMs).toBe(750)
    order.accept(input(Date.now() - 900, 'very slow'))
    expect(order.windowMs).toBe(1000)
    vi.advanceTimersByTime(4_000)
    order.accept(input(Date.now(), 'b'))
    expect(order.windowMs).toBe(WINDOW)
    vi.advanceTimersByTime(WINDOW)
    expect(written.at(-1)).toBe('b')
  })

  it('takes nothing from input that was kept while the container was starting', () => {
    const start = Date.now()
    for (const ago of [20_000, 15_000, 14_900]) order.accept(input(start - ago, `kept ${ago}`))
    vi.advanceTimersByTime(WINDOW)
    order.accept(input(Date.now(), 'live'))
    expect(order.windowMs).toBe(WINDOW)
    vi.advanceTimersByTime(WINDOW)
    expect(written.at(-1)).toBe('live')
    order.accept(input(start - 10_000, 'kept between two links'))
    expect(order.windowMs).toBe(WINDOW)
  })

  it('holds an input for the window at most, and one that was delayed on its way for less', () => {
    const start = Date.now()
    order.accept(input(start, 'a'))
    vi.advanceTimersByTime(WINDOW - 1)
    expect(written).toEqual([])
    vi.advanceTimersByTime(1)
    expect(written).toEqual(['a'])
    vi.advanceTimersByTime(1000)
    // Sent 20 ms ago, by the clock that the first input set: 20 ms of the window are left.
    order.accept(input(Date.now() - 20, 'b'))
    vi.advanceTimersByTime(19)
    expect(written).toEqual(['a'])
    vi.advanceTimersByTime(1)
    expect(written).toEqual(['a', 'b'])
    order.accept(input(Date.now() - 1_500, 'c'))
    expect(written).toEqual(['a', 'b', 'c'])
  })

  it('writes a late input at once and counts it', () => {
    const start = Date.now()
    order.accept(input(start, 'b'))
    vi.advanceTimersByTime(WINDOW)
    order.accept(input(start - 1, 'a'))
    expect(written).toEqual(['b', 'a'])
    expect(order.lateCount).toBe(1)
  })

  it('drops repetitions, of what is held and of what was written', () => {
    const one = input(Date.now(), 'x')
    order.accept(one)
    order.accept(one)
    vi.advanceTimersByTime(WINDOW)
    order.accept(one)
    vi.advanceTimersByTime(WINDOW)
    expect(written).toEqual(['x'])
  })

  it('follows a clock that drifts backwards within a minute', () => {
    const start = Date.now()
    order.accept(input(start, 'a'))
    // From now on everything takes 500 ms longer, or the clocks have moved apart: at first that looks like slow handlers.
    vi.advanceTimersByTime(61_000)
    order.accept(input(Date.now() - 500, 'b'))
    expect(order.windowMs).toBe(750)
    vi.advanceTimersByTime(31_000)
    order.accept(input(Date.now() - 500, 'c'))
    expect(order.windowMs).toBe(WINDOW)
    expect(written).toEqual(['a', 'b'])
    vi.advanceTimersByTime(WINDOW)
    expect(written).toEqual(['a', 'b', 'c'])
  })

  it('holds no more than it should', () => {
    const now = Date.now()
    for (let i = 0; i < 5000; i++) order.accept(input(now, `key-${String(i).padStart(4, '0')}`))
    expect(written.length).toBe(5000 - 4096)
    order.close()
    for (let i = 0; i < 5; i++) order.accept(input(now, String(i).repeat(1024 * 1024), `large-${i}`))
    expect(written.length).toBe(5000 - 4096 + 1)
    order.close()
    vi.advanceTimersByTime(10_000)
    expect(written.length).toBe(5000 - 4096 + 1)
  })
})
