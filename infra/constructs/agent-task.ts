import { posix } from 'node:path'
import type { Construct } from 'constructs'
import { STOP_TIMEOUT_SECONDS } from '../../shared/contracts/limits.ts'
import { CONTAINER_ENV, TEAM_FILES } from '../../shared/contracts/link.ts'
import { ContainerTask, type ContainerTaskProps } from './container-task.ts'

/** From the build context, the repository root. */
export const AGENT_IMAGE = {
  dockerfile: 'container-images/agent/Dockerfile',
  notInImage: [
    'container-images/workspace-sync/src',
    'container-images/preview/src',
    'container-images/preview-gateway/src',
    'shared/domain',
  ],
} as const

/** Where agents see the team's shared files: the working tree, and later those of previewed branches beside it. */
const SHARED = '/workspaces'

/** The Fargate task that an agent runs in: hostile ground. */
export class AgentTask extends ContainerTask {
  constructor(scope: Construct, id: string, props: ContainerTaskProps) {
    super(scope, id, props, {
      kind: 'agent',
      ...AGENT_IMAGE,
      workspace: SHARED,
      environment: {
        [CONTAINER_ENV.workspace]: posix.join(SHARED, posix.relative(TEAM_FILES.shared, TEAM_FILES.workspace)),
      },
      stopTimeoutSeconds: STOP_TIMEOUT_SECONDS,
    })
  }
}
