import { expect, test, vi } from 'vitest'
import { shuffled } from '../../../../local/faults/events.ts'
import { createFaults } from '../../../../local/faults/faults.ts'
import { seededRandom } from '../../../../local/faults/random.ts'

const CALL = { cluster: 'c', taskDefinition: 't', startedBy: 'team/a/1', clientToken: undefined }

test('a switch acts on what its predicate takes, as often as it says, and first come first', () => {
  const { runTask } = createFaults()
  expect(runTask.take(CALL)).toBeUndefined()
  runTask.add({ kind: 'throttle' }, { times: 2, where: ({ startedBy }) => startedBy === 'team/a/1' })
  runTask.add({ kind: 'hang' })
  expect(runTask.take({ ...CALL, startedBy: 'other' })).toEqual({ kind: 'hang' })
  expect([1, 2, 3].map(() => runTask.take(CALL)?.kind)).toEqual(['throttle', 'throttle', 'hang'])
})

test('a switch can be removed, and all can be reset', () => {
  const faults = createFaults()
  const remove = faults.stopTask.add({ kind: 'throttle' })
  remove()
  expect(faults.stopTask.take({ task: 't' })).toBeUndefined()
  faults.stopTask.add({ kind: 'throttle' })
  faults.runTask.add({ kind: 'hang' })
  faults.reset()
  expect(faults.stopTask.take({ task: 't' })).toBeUndefined()
  expect(faults.runTask.take(CALL)).toBeUndefined()
})

test('probabilities follow the seed', () => {
  const outcomes = (seed: number) => {
    const { runTask } = createFaults({ seed })
    runTask.add({ kind: 'throttle' }, { probability: 0.3 })
    return Array.from({ length: 200 }, () => runTask.take(CALL) !== undefined)
  }
  expect(outcomes(7)).toEqual(outcomes(7))
  expect(outcomes(7)).not.toEqual(outcomes(8))
  const count = outcomes(7).filter(Boolean).length
  expect(count).toBeGreaterThan(30)
  expect(count).toBeLessThan(90)
})

test('events are lost, doubled, delayed', () => {
  vi.useFakeTimers()
  const faults = createFaults()
  const arrived: number[] = []
  const carry = (event: number) => faults.disturbEvent(event, (each) => arrived.push(each))
  faults.events.add({ kind: 'lose' }, { where: (event) => event === 1 })
  faults.events.add({ kind: 'double', delayMs: 50 }, { where: (event) => event === 2 })
  faults.events.add({ kind: 'delay', delayMs: 100 }, { where: (event) => event === 3 })
  for (const event of [1, 2, 3, 4]) carry(event)
  expect(arrived).toEqual([2, 4])
  vi.advanceTimersByTime(50)
  expect(arrived).toEqual([2, 4, 2])
  vi.advanceTimersByTime(50)
  expect(arrived).toEqual([2, 4, 2, 3])
  vi.useRealTimers()
})

test('events are reordered in windows; what is left comes after the longest hold, or at a reset', () => {
  vi.useFakeTimers()
  const faults = createFaults({ seed: 3 })
  const arrived: number[] = []
  const carry = (event: number) => faults.disturbEvent(event, (each) => arrived.push(each))
  faults.events.add({ kind: 'reorder', window: 3, maxHoldMs: 100 })
  for (const event of [1, 2, 3, 4]) carry(event)
  expect(arrived).not.toEqual([1, 2, 3])
  expect([...arrived].sort()).toEqual([1, 2, 3])
  vi.advanceTimersByTime(100)
  expect(arrived.slice(3)).toEqual([4])
  carry(5)
  faults.reset()
  expect(arrived.slice(4)).toEqual([5])
  vi.useRealTimers()
})

test('a shuffle never keeps the order, and loses nothing', () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const mixed = shuffled([1, 2, 3], seededRandom(seed))
    expect(mixed).not.toEqual([1, 2, 3])
    expect([...mixed].sort()).toEqual([1, 2, 3])
  }
  expect(shuffled([1], seededRandom(1))).toEqual([1])
  expect(shuffled([], seededRandom(1))).toEqual([])
})
