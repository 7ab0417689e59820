import { describe, expect, it } from 'vitest'
import { budgetFor, overBudget } from '../../scripts/bundle-report.ts'

describe('bundle budget', () => {
  it('is kept by bundles of its size and below', () => {
    expect(overBudget({ spawn: 400, list: 300 }, { spawn: 400, list: 350 })).toEqual([])
  })

  it('names what has grown, what has no budget, and what is no longer there', () => {
    expect(overBudget({ spawn: 401, added: 5 }, { spawn: 400, removed: 10 })).toEqual([
      'spawn: 401 bytes, 1 over its budget of 400',
      'added: 5 bytes and no budget',
      'removed: a budget and no bundle',
    ])
  })

  it('is set a tenth above today, in round numbers', () => {
    expect(budgetFor({ spawn: 412_345, list: 100 })).toEqual({ spawn: 460_000, list: 10_000 })
  })
})
