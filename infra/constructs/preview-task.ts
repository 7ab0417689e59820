import type { Construct } from 'constructs'
import { STOP_TIMEOUT_SECONDS } from '../../shared/contracts/limits.ts'
import { PREVIEW_ENV } from '../../shared/contracts/preview-link.ts'
import { CACHE_VOLUME } from '../../shared/contracts/team-resources.ts'
import { ContainerTask, type ContainerTaskProps } from './container-task.ts'

/** From the build context, the repository root. */
export const PREVIEW_IMAGE = {
  dockerfile: 'container-images/preview/Dockerfile',
  notInImage: [
    'container-images/agent/src',
    'container-images/workspace-sync/src',
    'container-images/preview-gateway/src',
    'shared/domain',
  ],
} as const

/** Where previews see the team's shared files: the working trees, which they copy from and cannot write to. */
const SHARED = '/workspaces'

/** Of its own /health and /status: none of those that previews lease (PREVIEW_PORTS), one of which its dev server gets. */
const STATUS_PORT = 9_000

/** The preview's own disk, and what outlives it: in teams' definitions an access point. The image owns and declares these paths. */
const DISK = { mirror: '/preview', [CACHE_VOLUME]: '/cache' } as const

/** The Fargate task that runs what a team's branch holds: hostile ground, like an agent's, and the gateway's to connect to. */
export class PreviewTask extends ContainerTask {
  constructor(scope: Construct, id: string, props: ContainerTaskProps) {
    super(scope, id, props, {
      kind: 'preview',
      ...PREVIEW_IMAGE,
      workspace: SHARED,
      disk: DISK,
      environment: {
        [PREVIEW_ENV.shared]: SHARED,
        [PREVIEW_ENV.disk]: DISK.mirror,
        [PREVIEW_ENV.cache]: DISK[CACHE_VOLUME],
      },
      statusPort: STATUS_PORT,
      stopTimeoutSeconds: STOP_TIMEOUT_SECONDS,
    })
  }
}
