import type { Construct } from 'constructs'
import { SYNC_STOP_TIMEOUT_SECONDS } from '../../shared/contracts/limits.ts'
import { CONTAINER_ENV } from '../../shared/contracts/link.ts'
import { ContainerTask, type ContainerTaskProps } from './container-task.ts'

/** From the build context, the repository root. */
export const SYNC_IMAGE = {
  dockerfile: 'container-images/workspace-sync/Dockerfile',
  notInImage: [
    'container-images/agent/src',
    'container-images/preview/src',
    'container-images/preview-gateway/src',
    'shared/domain',
  ],
} as const

/** Where workspace sync sees all of the team's files, its own beside the shared ones. */
const TEAM_ROOT = '/team'

/** The Fargate task of a team's workspace sync: it reads what agents write, and its own files are out of their reach. */
export class SyncTask extends ContainerTask {
  constructor(scope: Construct, id: string, props: ContainerTaskProps) {
    super(scope, id, props, {
      kind: 'sync',
      ...SYNC_IMAGE,
      workspace: TEAM_ROOT,
      environment: { [CONTAINER_ENV.teamRoot]: TEAM_ROOT },
      stopTimeoutSeconds: SYNC_STOP_TIMEOUT_SECONDS,
    })
  }
}
