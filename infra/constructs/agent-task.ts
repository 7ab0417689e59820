import { Duration, Stack } from 'aws-cdk-lib'
import { Platform } from 'aws-cdk-lib/aws-ecr-assets'
import {
  AwsLogDriverMode,
  Capability,
  ContainerImage,
  CpuArchitecture,
  FargateTaskDefinition,
  LinuxParameters,
  LogDrivers,
  OperatingSystemFamily,
} from 'aws-cdk-lib/aws-ecs'
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import {
  AGENT_STATUS_PORT,
  CONTAINER_USER,
  DEFAULT_TASK_SIZE,
  HEALTH_CHECK,
  STOP_TIMEOUT_SECONDS,
} from '../../shared/contracts/limits.ts'
import { CONTAINER_ENV } from '../../shared/contracts/link.ts'
import { acknowledge } from '../acknowledge.ts'
import { type Deployment, logGroup, physicalName } from '../deployment.ts'
import type { TaskResources } from '../grants.ts'

export interface AgentTaskProps {
  readonly deployment: Deployment
  /** WebSocket URL that the container's link connects to. */
  readonly linkUrl: string
}

/** Container name in the task definition: RunTask's overrides and the task's events name it. */
const CONTAINER = 'agent'
const WORKSPACE = '/workspace'

/** The only writable paths: the image's user owns them, and bind mounts take their owner from the image. */
const WRITABLE = { workspace: WORKSPACE, home: '/home/node', tmp: '/tmp' } as const

/** From the build context, the repository root. */
export const AGENT_DOCKERFILE = 'container-images/agent/Dockerfile'

/** Node's own client, because the image has no curl. HOST is the address the server is bound to when that is not every address. */
const HEALTH_PROBE = [
  `const host = process.env.HOST ?? '127.0.0.1'`,
  `fetch('http://' + host + ':${AGENT_STATUS_PORT}/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`,
].join(';')

/** The Fargate task that an agent runs in: hostile ground, so nothing is lent to it but a CPU, a disk that goes with it and its log. */
export class AgentTask extends Construct {
  readonly task: TaskResources['agentTask']

  constructor(scope: Construct, id: string, { deployment, linkUrl }: AgentTaskProps) {
    super(scope, id)
    const { config } = deployment
    const arm = config.agentArchitecture === 'ARM64'
    const family = physicalName(config, 'agent')
    const executionRole = this.role('ExecutionRole', 'ECS itself: pulls the image, writes the log')
    const definition = new FargateTaskDefinition(this, 'Definition', {
      family,
      cpu: DEFAULT_TASK_SIZE.agent.cpu,
      memoryLimitMiB: DEFAULT_TASK_SIZE.agent.memory,
      runtimePlatform: {
        cpuArchitecture: arm ? CpuArchitecture.ARM64 : CpuArchitecture.X86_64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole: this.role('TaskRole', 'What runs inside the agent container: nothing is allowed'),
      executionRole,
      volumes: Object.keys(WRITABLE).map((name) => ({ name })),
    })
    const logs = logGroup(this, 'Logs', config)
    const linux = new LinuxParameters(this, 'Linux')
    linux.dropCapabilities(Capability.ALL)
    const container = definition.addContainer(CONTAINER, {
      // The repository's .dockerignore says what enters the build, and so what makes a new image.
      image: ContainerImage.fromAsset(deployment.imageDirectory, {
        file: AGENT_DOCKERFILE,
        platform: arm ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64,
      }),
      user: `${CONTAINER_USER.uid}:${CONTAINER_USER.gid}`,
      readonlyRootFilesystem: true,
      linuxParameters: linux,
      environment: { [CONTAINER_ENV.linkUrl]: linkUrl, [CONTAINER_ENV.workspace]: WORKSPACE },
      healthCheck: {
        command: ['CMD', 'node', '-e', HEALTH_PROBE],
        interval: Duration.seconds(HEALTH_CHECK.intervalSeconds),
        timeout: Duration.seconds(HEALTH_CHECK.timeoutSeconds),
        retries: HEALTH_CHECK.retries,
        startPeriod: Duration.seconds(HEALTH_CHECK.startPeriodSeconds),
      },
      stopTimeout: Duration.seconds(STOP_TIMEOUT_SECONDS),
      // Non-blocking: a log service that is slow must not stop an agent that writes.
      logging: LogDrivers.awsLogs({ streamPrefix: CONTAINER, logGroup: logs, mode: AwsLogDriverMode.NON_BLOCKING }),
    })
    container.addMountPoints(
      ...Object.entries(WRITABLE).map(([sourceVolume, containerPath]) => ({
        sourceVolume,
        containerPath,
        readOnly: false,
      })),
    )
    acknowledge(definition, {
      'AwsSolutions-ECS2':
        'The two variables are an address and a path; secrets never stand in a task definition (invariant 5).',
    })
    acknowledge(executionRole, {
      'AwsSolutions-IAM5[Resource::*]':
        'ecr:GetAuthorizationToken takes * only; pulling is granted on the one repository.',
    })
    this.task = { definition, family, container: CONTAINER }
  }

  /** Assumed by ECS for tasks of this account only (the confused deputy: ECS's "Amazon ECS task IAM role" page). */
  private role(id: string, description: string): Role {
    const stack = Stack.of(this)
    return new Role(this, id, {
      description,
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com', {
        conditions: {
          StringEquals: { 'aws:SourceAccount': stack.account },
          ArnLike: { 'aws:SourceArn': stack.formatArn({ service: 'ecs', resource: '*' }) },
        },
      }),
    })
  }
}
