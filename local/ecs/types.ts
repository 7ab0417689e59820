/** The states of a task, in the order in which a Fargate task may pass through them. */
export const TASK_STATUSES = [
  'PROVISIONING',
  'PENDING',
  'ACTIVATING',
  'RUNNING',
  'DEACTIVATING',
  'STOPPING',
  'DEPROVISIONING',
  'STOPPED',
] as const

/** One of `TASK_STATUSES`. */
export type TaskStatus = (typeof TASK_STATUSES)[number]

/** Why a task stopped, as the ECS API's TaskStopCode. */
export type StopCode =
  | 'TaskFailedToStart'
  | 'EssentialContainerExited'
  | 'UserInitiated'
  | 'ServiceSchedulerInitiated'
  | 'SpotInterruption'
  | 'TerminationNotice'
  | 'InfrastructureHealth'

/** The health of a container or task. */
export type HealthStatus = 'HEALTHY' | 'UNHEALTHY' | 'UNKNOWN'

/** A name with a value, as ECS writes environments and attachment details. */
export interface KeyValue {
  readonly name: string
  readonly value: string
}

/** A tag of a task or task definition. */
export interface Tag {
  readonly key: string
  readonly value?: string
}

/** The container's health check of a task definition; times are seconds. */
export interface HealthCheck {
  /** `['CMD', program, ...args]`, `['CMD-SHELL', line]` or `['NONE']`. */
  readonly command: readonly string[]
  readonly interval?: number
  readonly timeout?: number
  readonly retries?: number
  readonly startPeriod?: number
}

/** The parts of a container definition that this runtime acts on; others are kept and described, without effect. */
export interface ContainerDefinition {
  readonly name: string
  readonly image: string
  readonly essential?: boolean
  readonly entryPoint?: readonly string[]
  readonly command?: readonly string[]
  readonly environment?: readonly KeyValue[]
  readonly secrets?: readonly { readonly name: string; readonly valueFrom: string }[]
  readonly mountPoints?: readonly {
    readonly sourceVolume?: string
    readonly containerPath?: string
    readonly readOnly?: boolean
  }[]
  readonly stopTimeout?: number
  readonly workingDirectory?: string
  readonly user?: string
  readonly readonlyRootFilesystem?: boolean
  readonly linuxParameters?: {
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] }
    readonly initProcessEnabled?: boolean
    readonly tmpfs?: readonly {
      readonly containerPath: string
      /** MiB. */
      readonly size: number
      readonly mountOptions?: readonly string[]
    }[]
  }
  readonly ulimits?: readonly { readonly name: string; readonly softLimit: number; readonly hardLimit: number }[]
  readonly healthCheck?: HealthCheck
  readonly cpu?: number
  readonly memory?: number
  readonly memoryReservation?: number
  readonly portMappings?: readonly { readonly containerPort?: number; readonly protocol?: string }[]
}

/** A volume of a task definition: a bind mount, or an EFS file system with an access point. */
export interface Volume {
  readonly name: string
  readonly efsVolumeConfiguration?: {
    readonly fileSystemId: string
    readonly rootDirectory?: string
    readonly transitEncryption?: string
    readonly authorizationConfig?: { readonly accessPointId?: string; readonly iam?: string }
  }
}

/** A task definition as ECS describes it; its times are epoch milliseconds here. */
export interface TaskDefinition {
  readonly taskDefinitionArn: string
  readonly family: string
  readonly revision: number
  readonly status: 'ACTIVE' | 'INACTIVE' | 'DELETE_IN_PROGRESS'
  readonly containerDefinitions: readonly ContainerDefinition[]
  readonly volumes: readonly Volume[]
  readonly networkMode?: string
  readonly requiresCompatibilities?: readonly string[]
  readonly cpu?: string
  readonly memory?: string
  readonly taskRoleArn?: string
  readonly executionRoleArn?: string
  readonly runtimePlatform?: { readonly cpuArchitecture?: string; readonly operatingSystemFamily?: string }
  readonly ephemeralStorage?: { readonly sizeInGiB: number }
  readonly tags: readonly Tag[]
  readonly registeredAt: number
  readonly deregisteredAt?: number
  readonly deleteRequestedAt?: number
}

/** One container's part of RunTask's `overrides`. */
export interface ContainerOverride {
  readonly name?: string
  readonly command?: readonly string[]
  readonly environment?: readonly KeyValue[]
  readonly cpu?: number
  readonly memory?: number
  readonly memoryReservation?: number
}

/** RunTask's `overrides`. */
export interface TaskOverride {
  readonly containerOverrides?: readonly ContainerOverride[]
  readonly cpu?: string
  readonly memory?: string
  readonly executionRoleArn?: string
  readonly taskRoleArn?: string
  readonly ephemeralStorage?: { readonly sizeInGiB: number }
}

/** A container of a task. */
export interface Container {
  readonly containerArn: string
  readonly name: string
  readonly image: string
  readonly imageDigest: string
  readonly cpu: string
  readonly memory?: string
  readonly memoryReservation?: string
  lastStatus: TaskStatus
  runtimeId?: string
  exitCode?: number
  reason?: string
  healthStatus: HealthStatus
}

/** A task. Times are epoch milliseconds; `version` rises by one with each change that is told in an event. */
export interface Task {
  readonly taskArn: string
  readonly clusterArn: string
  readonly taskDefinitionArn: string
  readonly group: string
  readonly startedBy?: string
  readonly availabilityZone: string
  readonly launchType: 'FARGATE'
  readonly capacityProviderName?: 'FARGATE' | 'FARGATE_SPOT'
  readonly platformVersion: string
  readonly cpuArchitecture: 'x86_64' | 'arm64'
  readonly cpu: string
  readonly memory: string
  readonly ephemeralStorageGiB: number
  readonly enableExecuteCommand: boolean
  readonly overrides: TaskOverride
  readonly eni: {
    readonly attachmentId: string
    readonly networkInterfaceId: string
    readonly macAddress: string
    readonly subnetId: string
    readonly privateIPv4Address: string
  }
  eniStatus: 'PRECREATED' | 'ATTACHED' | 'DELETED'
  tags: readonly Tag[]
  version: number
  lastStatus: TaskStatus
  desiredStatus: 'RUNNING' | 'STOPPED'
  connectivity?: 'CONNECTED' | 'DISCONNECTED'
  readonly createdAt: number
  updatedAt: number
  connectivityAt?: number
  pullStartedAt?: number
  pullStoppedAt?: number
  startedAt?: number
  executionStoppedAt?: number
  stoppingAt?: number
  stoppedAt?: number
  stopCode?: StopCode
  stoppedReason?: string
  readonly containers: Container[]
}

/** The id of a task: the last part of its ARN, 32 hexadecimal digits. */
export function taskIdOf(taskArn: string): string {
  return taskArn.slice(taskArn.lastIndexOf('/') + 1)
}
