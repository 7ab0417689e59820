import { WORKSPACE_CONFIG_MAX_BYTES } from '../../contracts/limits.ts'
import type { WorkspaceConfig } from '../../contracts/workspace.ts'
import type { Actor } from '../actor.ts'
import type { Clock } from '../clock.ts'
import { AppError, BadRequest } from '../errors.ts'
import type { WorkspaceConfigStore } from './ports.ts'

/** Objects and arrays within one another; the client's layouts are 3 deep. More would overflow the stack of some JSON reader. */
const MAX_DEPTH = 64

/** What a team sees that has stored nothing: an empty desk. */
export const DEFAULT_WORKSPACE_CONFIG: WorkspaceConfig = { tiles: [], layouts: {}, sidebarWidth: 280 }

export interface WorkspaceConfigDeps {
  readonly store: WorkspaceConfigStore
  readonly clock: Clock
}

/** 413, naming the field that takes the most room. */
export class WorkspaceConfigTooLarge extends AppError {
  constructor(bytes: number, field: string) {
    super(
      'BODY_TOO_LARGE',
      `The workspace layout is too large: ${bytes} of at most ${WORKSPACE_CONFIG_MAX_BYTES} bytes`,
      [{ field, message: 'takes the most room' }],
    )
  }
}

/** The layout of the asking member's team. @throws CorruptRecord */
export async function getWorkspaceConfig(
  { teamId }: Actor,
  { store }: Pick<WorkspaceConfigDeps, 'store'>,
): Promise<WorkspaceConfig> {
  return (await store.get(teamId)) ?? DEFAULT_WORKSPACE_CONFIG
}

/** Replaces the layout of the asking member's team. @throws WorkspaceConfigTooLarge, BadRequest */
export async function putWorkspaceConfig(
  { teamId }: Actor,
  config: WorkspaceConfig,
  { store, clock }: WorkspaceConfigDeps,
): Promise<void> {
  for (const [field, value] of Object.entries(config)) {
    if (!isWithinDepth(value, MAX_DEPTH))
      throw new BadRequest(`${field}: nested too deeply`, [{ field, message: `more than ${MAX_DEPTH} levels` }])
  }
  const json = JSON.stringify(config)
  const bytes = Buffer.byteLength(json)
  if (bytes > WORKSPACE_CONFIG_MAX_BYTES) throw new WorkspaceConfigTooLarge(bytes, largestField(config))
  await store.put(teamId, json, clock.now())
}

/** Level by level, so that the depth of what a client sends costs no stack. */
function isWithinDepth(value: unknown, levels: number): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return false
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []))
  }
  return true
}

function largestField(config: WorkspaceConfig): string {
  const sizes = Object.entries(config).map(([field, value]) => ({ field, size: JSON.stringify(value)?.length ?? 0 }))
  return sizes.reduce((most, one) => (one.size > most.size ? one : most), { field: 'body', size: 0 }).field
}
