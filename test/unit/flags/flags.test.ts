import { describe, expect, it } from 'vitest'
import { DEFAULT_TEAM_AGENT_SLOTS, DEFAULT_TEAM_TASK_LIMIT } from '../../../shared/contracts/limits.ts'
import { backendFor, flagsOf, stageDefaults } from '../../../shared/domain/flags/flags.ts'
import type { RawFlags } from '../../../shared/domain/flags/ports.ts'

async function read(team: RawFlags, all: RawFlags, stage = true) {
  const warnings: Record<string, unknown>[] = []
  const flags = await flagsOf('t1', {
    flags: { read: async () => ({ team, all }), readAll: async () => all },
    stageDefault: stageDefaults(stage),
    log: { warn: (_message, fields) => warnings.push(fields) },
  })
  return { flags, warnings }
}

describe('flagsOf', () => {
  it("is the stage's default when nobody has said anything", async () => {
    const { flags, warnings } = await read(undefined, undefined)
    expect(flags).toEqual({
      useDockerAgents: true,
      agentSlots: DEFAULT_TEAM_AGENT_SLOTS,
      maxTaskSize: DEFAULT_TEAM_TASK_LIMIT,
    })
    expect(warnings).toEqual([])
    expect((await read(undefined, undefined, false)).flags.useDockerAgents).toBe(false)
  })

  it('takes each field from the team, else from all, else from the stage', async () => {
    const team = { scope: 'team#t1', useDockerAgents: false }
    const all = { scope: 'all', useDockerAgents: true, agentSlots: 3, note: 'typed by hand' }
    const { flags, warnings } = await read(team, all)
    expect(flags).toEqual({ useDockerAgents: false, agentSlots: 3, maxTaskSize: DEFAULT_TEAM_TASK_LIMIT })
    expect(warnings).toEqual([])
  })

  it.each<[string, unknown]>([
    ['useDockerAgents', 'true'],
    ['useDockerAgents', 1],
    ['useDockerAgents', 'false'],
    ['agentSlots', '5'],
    ['agentSlots', -1],
    ['agentSlots', 2.5],
    ['agentSlots', 1e9],
    ['agentSlots', Number.NaN],
    ['maxTaskSize', { cpu: 1024 }],
    ['maxTaskSize', { cpu: '1024', memory: 2048 }],
    ['maxTaskSize', { cpu: 1, memory: 2048 }],
    ['maxTaskSize', [1024, 2048]],
  ])('ignores %s = %j with a warning; the next level and the other fields count', async (field, value) => {
    const all = { useDockerAgents: false, agentSlots: 7, maxTaskSize: { cpu: 512, memory: 1024 } }
    const { flags, warnings } = await read({ agentSlots: 4, useDockerAgents: true, [field]: value }, all)
    const expected = { ...all, agentSlots: 4, useDockerAgents: true, [field]: all[field as keyof typeof all] }
    expect(flags).toEqual(expected)
    expect(warnings).toEqual([{ scope: 'team#t1', field, problem: expect.any(String) }])
  })

  it('falls through to the stage when both levels are broken, and names both', async () => {
    const { flags, warnings } = await read({ agentSlots: 'many' }, { agentSlots: 'few' })
    expect(flags.agentSlots).toBe(DEFAULT_TEAM_AGENT_SLOTS)
    expect(warnings.map(({ scope }) => scope)).toEqual(['team#t1', 'all'])
  })

  it('takes null for "not set" and 0 slots for none', async () => {
    const { flags, warnings } = await read({ useDockerAgents: null, agentSlots: 0 }, undefined)
    expect(flags).toMatchObject({ useDockerAgents: true, agentSlots: 0 })
    expect(warnings).toEqual([])
  })

  it('does not guess when the table cannot be read', async () => {
    const broken = () => Promise.reject(new Error('throttled'))
    const deps = {
      flags: { read: broken, readAll: broken },
      stageDefault: stageDefaults(true),
      log: { warn: () => undefined },
    }
    await expect(flagsOf('t1', deps)).rejects.toThrow('throttled')
  })
})

describe('backendFor', () => {
  it('is ssh with containers off, docker with them on', () => {
    expect(backendFor({ useDockerAgents: false })).toBe('ssh')
    expect(backendFor({ useDockerAgents: true })).toBe('docker')
  })
})
