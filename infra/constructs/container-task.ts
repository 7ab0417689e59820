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
import { AGENT_STATUS_PORT, CONTAINER_USER, DEFAULT_TASK_SIZE, HEALTH_CHECK } from '../../shared/contracts/limits.ts'
import { CONTAINER_ENV } from '../../shared/contracts/link.ts'
import { TEAM_MOUNTS, type TeamTaskKind, WORKSPACE_VOLUME } from '../../shared/contracts/team-resources.ts'
import { acknowledge } from '../acknowledge.ts'
import { type Deployment, logGroup, physicalName } from '../deployment.ts'
import type { BaseTask } from '../resources.ts'

export interface ContainerTaskProps {
  readonly deployment: Deployment
  /** WebSocket URL that the container's link connects to. */
  readonly linkUrl: string
}

/** What tells one kind of task from another. */
export interface TaskKind {
  /** Also the container's name (RunTask's overrides and the task's events name it) and the end of the family's. */
  readonly kind: TeamTaskKind
  /** From the build context, the repository root. */
  readonly dockerfile: string
  /** Sources of other images, whose change must not make a new image of this one. */
  readonly notInImage: readonly string[]
  /** Where the team's files, or the part of them that is this kind's, are mounted. */
  readonly workspace: string
  /** Paths that only this kind has, by volume; one that TEAM_MOUNTS names becomes an access point in teams' definitions. */
  readonly disk?: Readonly<Record<string, string>>
  /** Port of the container's own /health and /status; AGENT_STATUS_PORT unless given. */
  readonly statusPort?: number
  /** Variables beside the link's address. Never a secret: a task definition can be read (invariant 5). */
  readonly environment: Readonly<Record<string, string>>
  /** Seconds between SIGTERM and SIGKILL. */
  readonly stopTimeoutSeconds: number
}

/** Writable beside the team's files: the image's user owns them, and bind mounts take their owner from the image. */
const OWN_DISK = { home: '/home/node', tmp: '/tmp' } as const

/** Node's own client, because the images have no curl. HOST is the address the server is bound to when that is not every address. */
export const healthProbe = (port: number) =>
  [
    `const host = process.env.HOST ?? '127.0.0.1'`,
    `fetch('http://' + host + ':${port}/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`,
  ].join(';')

/**
 * The stage's own definition of a kind of task, from which each team's is made (ADR-051): there the volumes that TEAM_MOUNTS names
 * become the team's access points, and the role the team's. Nothing else is lent to a container but a CPU, a disk that goes with it and its log.
 */
export class ContainerTask extends Construct {
  readonly task: BaseTask

  constructor(scope: Construct, id: string, { deployment, linkUrl }: ContainerTaskProps, spec: TaskKind) {
    super(scope, id)
    const { config } = deployment
    const arm = config.agentArchitecture === 'ARM64'
    const family = physicalName(config, spec.kind)
    const volumes = { [WORKSPACE_VOLUME]: spec.workspace, ...spec.disk, ...OWN_DISK }
    const executionRole = this.role('ExecutionRole', 'ECS itself: pulls the image, writes the log')
    const definition = new FargateTaskDefinition(this, 'Definition', {
      family,
      cpu: DEFAULT_TASK_SIZE[spec.kind].cpu,
      memoryLimitMiB: DEFAULT_TASK_SIZE[spec.kind].memory,
      runtimePlatform: {
        cpuArchitecture: arm ? CpuArchitecture.ARM64 : CpuArchitecture.X86_64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole: this.role('TaskRole', "Stands in for a team's own role until there is one: nothing is allowed"),
      executionRole,
      volumes: Object.keys(volumes).map((name) => ({ name })),
    })
    const logs = logGroup(this, 'Logs', config)
    const linux = new LinuxParameters(this, 'Linux')
    linux.dropCapabilities(Capability.ALL)
    const container = definition.addContainer(spec.kind, {
      // The repository's .dockerignore says what enters the build, and so what makes a new image.
      image: ContainerImage.fromAsset(deployment.imageDirectory, {
        file: spec.dockerfile,
        exclude: [...spec.notInImage],
        platform: arm ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64,
      }),
      user: `${CONTAINER_USER.uid}:${CONTAINER_USER.gid}`,
      readonlyRootFilesystem: true,
      linuxParameters: linux,
      environment: {
        [CONTAINER_ENV.linkUrl]: linkUrl,
        ...spec.environment,
        ...(spec.statusPort === undefined ? {} : { PORT: String(spec.statusPort) }),
      },
      healthCheck: {
        command: ['CMD', 'node', '-e', healthProbe(spec.statusPort ?? AGENT_STATUS_PORT)],
        interval: Duration.seconds(HEALTH_CHECK.intervalSeconds),
        timeout: Duration.seconds(HEALTH_CHECK.timeoutSeconds),
        retries: HEALTH_CHECK.retries,
        startPeriod: Duration.seconds(HEALTH_CHECK.startPeriodSeconds),
      },
      stopTimeout: Duration.seconds(spec.stopTimeoutSeconds),
      // Non-blocking: a log service that is slow must not stop a container that writes.
      logging: LogDrivers.awsLogs({ streamPrefix: spec.kind, logGroup: logs, mode: AwsLogDriverMode.NON_BLOCKING }),
    })
    container.addMountPoints(
      ...Object.entries(volumes).map(([sourceVolume, containerPath]) => ({
        sourceVolume,
        containerPath,
        readOnly: TEAM_MOUNTS[spec.kind].some(({ volume, isWritable }) => volume === sourceVolume && !isWritable),
      })),
    )
    acknowledge(definition, {
      'AwsSolutions-ECS2':
        'The variables are an address, paths and a port; secrets never stand in a task definition (invariant 5).',
    })
    acknowledge(executionRole, {
      'AwsSolutions-IAM5[Resource::*]':
        'ecr:GetAuthorizationToken takes * only; pulling is granted on the one repository.',
    })
    this.task = {
      definitionArn: definition.taskDefinitionArn,
      executionRoleArn: executionRole.roleArn,
      container: spec.kind,
    }
  }

  private role(id: string, description: string): Role {
    return new Role(this, id, { description, assumedBy: ecsTasks(this) })
  }
}

/** ECS, for tasks of this account only (the confused deputy: ECS's "Amazon ECS task IAM role" page). */
export function ecsTasks(scope: Construct): ServicePrincipal {
  const stack = Stack.of(scope)
  return new ServicePrincipal('ecs-tasks.amazonaws.com', {
    conditions: {
      StringEquals: { 'aws:SourceAccount': stack.account },
      ArnLike: { 'aws:SourceArn': stack.formatArn({ service: 'ecs', resource: '*' }) },
    },
  })
}
