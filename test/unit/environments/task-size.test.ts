import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  fargateSize,
  formatCpu,
  formatMemory,
  parseCpu,
  parseMemory,
} from '../../../shared/domain/environments/task-size.ts'

describe('fargateSize', () => {
  it.each([
    [
      { cpu: 512, memory: 1024 },
      { cpu: 512, memory: 1024 },
    ],
    [
      { cpu: 512, memory: 8192 },
      { cpu: 1024, memory: 8192 },
    ],
    [
      { cpu: 4096, memory: 1024 },
      { cpu: 4096, memory: 8192 },
    ],
    [
      { cpu: 1, memory: 1 },
      { cpu: 256, memory: 512 },
    ],
    [{ cpu: 16_384, memory: 122_881 }, undefined],
  ])('%o → %o', (asked, legal) => {
    expect(fargateSize(asked)).toEqual(legal)
  })

  it('never gives less than asked, and rounding again changes nothing', () => {
    const size = fc.record({ cpu: fc.integer({ min: 1, max: 20_000 }), memory: fc.integer({ min: 1, max: 130_000 }) })
    fc.assert(
      fc.property(size, (asked) => {
        const legal = fargateSize(asked)
        if (!legal) return
        expect(legal.cpu).toBeGreaterThanOrEqual(asked.cpu)
        expect(legal.memory).toBeGreaterThanOrEqual(asked.memory)
        expect(fargateSize(legal)).toEqual(legal)
      }),
    )
  })
})

describe('sizes as the frontend writes them', () => {
  it.each(['512MB', '1GB', '2GB', '8GB'])('%s survives', (text) => {
    expect(formatMemory(parseMemory(text))).toBe(text)
  })
  it.each(['0.25', '0.5', '1.0', '4.0'])('%s vCPU survives', (text) => {
    expect(formatCpu(parseCpu(text))).toBe(text)
  })
})
