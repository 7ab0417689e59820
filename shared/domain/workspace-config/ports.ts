import type { WorkspaceConfig } from '../../contracts/workspace.ts'

export interface WorkspaceConfigStore {
  /** Undefined: the team has stored none. @throws CorruptRecord */
  get(teamId: string): Promise<WorkspaceConfig | undefined>
  /**
   * Replaces what is there: the client knows no versions, so the last writer wins.
   * @param json The layout, at most WORKSPACE_CONFIG_MAX_BYTES.
   */
  put(teamId: string, json: string, at: Date): Promise<void>
}
