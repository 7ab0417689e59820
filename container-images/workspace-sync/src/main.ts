/** Entry point of workspace sync's container. */
import { runContainer } from '../../common/src/container.ts'
import { createWorkspaceSync } from './git/workspace-sync.ts'
import { takeSettings } from './settings.ts'
import { SyncProgram } from './sync-program.ts'

await runContainer(
  'workspace-sync',
  takeSettings,
  (settings, log) => new SyncProgram({ settings, log, createEngine: createWorkspaceSync }),
)
