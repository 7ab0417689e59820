import { describe, expect, it } from 'vitest'
import { Drain } from '../../../../local/common/drain.ts'
import { randomHex } from '../../../../local/common/random.ts'

describe('Drain', () => {
  it('waits for what is under way and what that starts', async () => {
    const drain = new Drain()
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const order: string[] = []
    drain.add(first.promise.then(() => drain.add(second.promise)))
    drain.add(Promise.reject(new Error('a failure is an end, too')))
    const waited = drain.wait(60_000).then(() => order.push('waited'))
    first.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    order.push('second')
    second.resolve()
    await waited
    expect(order).toEqual(['second', 'waited'])
  })

  it('does not wait longer than the grace', async () => {
    const drain = new Drain()
    drain.add(new Promise(() => {}))
    await drain.wait(5)
  })
})

describe('randomHex', () => {
  it.each([1, 16, 24, 30, 32])('has %i digits', (digits) => {
    expect(randomHex(digits)).toMatch(new RegExp(`^[0-9a-f]{${digits}}$`))
    expect(randomHex(24)).not.toBe(randomHex(24))
  })
})
