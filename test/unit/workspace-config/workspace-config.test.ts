import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WORKSPACE_CONFIG_MAX_BYTES } from '../../../shared/contracts/limits.ts'
import { type WorkspaceConfig, WorkspaceConfigSchema } from '../../../shared/contracts/workspace.ts'
import { BadRequest } from '../../../shared/domain/errors.ts'
import {
  DEFAULT_WORKSPACE_CONFIG,
  getWorkspaceConfig,
  putWorkspaceConfig,
  WorkspaceConfigTooLarge,
} from '../../../shared/domain/workspace-config/workspace-config.ts'

const actor = { userId: 'u1', teamId: 't1' }
const config = (fields: Record<string, unknown> = {}): WorkspaceConfig => ({
  tiles: [],
  layouts: {},
  sidebarWidth: 300,
  ...fields,
})

function world() {
  const stored = new Map<string, string>()
  const deps = {
    clock: { now: () => new Date('2025-03-12T10:00:00.000Z') },
    store: {
      get: async (teamId: string) => {
        const json = stored.get(teamId)
        return json === undefined ? undefined : WorkspaceConfigSchema.parse(JSON.parse(json))
      },
      put: async (teamId: string, json: string) => void stored.set(teamId, json),
    },
  }
  return { stored, deps }
}

describe('the workspace layout', () => {
  it('comes back as it went in, whatever JSON it holds', async () => {
    const { deps } = world()
    const json = fc.jsonValue({ maxDepth: 5 })
    await fc.assert(
      fc.asyncProperty(fc.array(json), fc.dictionary(fc.string(), json), async (tiles, layouts) => {
        const given = JSON.parse(JSON.stringify(config({ tiles, layouts })))
        await putWorkspaceConfig(actor, WorkspaceConfigSchema.parse(given), deps)
        expect(JSON.stringify(await getWorkspaceConfig(actor, deps))).toBe(JSON.stringify(given))
      }),
    )
  })

  it('is the default one for a team that has none, which is one that could be stored', async () => {
    const { deps } = world()
    expect(await getWorkspaceConfig(actor, deps)).toBe(DEFAULT_WORKSPACE_CONFIG)
    expect(WorkspaceConfigSchema.parse(DEFAULT_WORKSPACE_CONFIG)).toEqual(DEFAULT_WORKSPACE_CONFIG)
  })

  it.each([
    ['tiles', { tiles: ['x'.repeat(300_000)], layouts: { lg: 'y'.repeat(100_000) } }],
    ['layouts', { tiles: ['x'.repeat(100_000)], layouts: { lg: 'y'.repeat(300_000) } }],
    ['mine', { mine: '\u20ac'.repeat(130_000) }],
  ])('too large: says by which field: %s', async (field, fields) => {
    const { deps, stored } = world()
    const refused = putWorkspaceConfig(actor, config(fields), deps)
    await expect(refused).rejects.toThrow(WorkspaceConfigTooLarge)
    await expect(refused).rejects.toMatchObject({ code: 'BODY_TOO_LARGE', details: [{ field }] })
    expect(stored.size).toBe(0)
  })

  it('of the largest size fits into an item of DynamoDB with its keys', () => {
    const around = 'pk'.length + 'TEAM#'.length + 64 + 'skWORKSPACE_CONFIG'.length + 'config'.length + 64
    expect(WORKSPACE_CONFIG_MAX_BYTES + around).toBeLessThan(400_000)
  })

  it('that is nested without end is refused, not overflowed by', async () => {
    const { deps } = world()
    const deep = JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`)
    await expect(putWorkspaceConfig(actor, config({ tiles: [deep] }), deps)).rejects.toThrow(BadRequest)
  })
})

describe('WorkspaceConfigSchema', () => {
  it.each([
    ['tiles', { tiles: null }],
    ['tiles', { tiles: { 0: 'x' } }],
    ['layouts', { layouts: null }],
    ['layouts', { layouts: [] }],
    ['layouts', { layouts: 'lg' }],
    ['sidebarWidth', { sidebarWidth: 601 }],
    ['sidebarWidth', { sidebarWidth: '300' }],
    ['sidebarWidth', { sidebarWidth: Number.NaN }],
  ])('%s: refuses %j', (field, fields) => {
    const parsed = WorkspaceConfigSchema.safeParse(config(fields))
    expect(parsed.error?.issues.map(({ path }) => path[0])).toEqual([field])
  })
  it.each([100, 600, 333.3])('takes a sidebar of %d', (sidebarWidth) => {
    expect(WorkspaceConfigSchema.parse(config({ sidebarWidth })).sidebarWidth).toBe(sidebarWidth)
  })
})
