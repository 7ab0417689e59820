/** What the stacks make, as far as functions use it, and what a use of it is: variables and permissions. */
import type { Stack } from 'aws-cdk-lib'
import type { WebSocketStage } from 'aws-cdk-lib/aws-apigatewayv2'
import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import type { Cluster } from 'aws-cdk-lib/aws-ecs'
import type { EventBus } from 'aws-cdk-lib/aws-events'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { Queue } from 'aws-cdk-lib/aws-sqs'
import type * as z from 'zod'
import type { Capability, capabilityEnv } from '../shared/contracts/functions.ts'
import type { tables } from '../shared/contracts/tables.ts'
import type { TeamTaskKind } from '../shared/contracts/team-resources.ts'
import type { StageConfig } from './config.ts'

export type TableId = keyof typeof tables

/** A secret of this app or an imported one. */
export type SecretReference = Pick<ISecret, 'secretArn'>

export interface DataResources {
  readonly config: StageConfig
  readonly tables: Readonly<Record<TableId, TableV2>>
  readonly workQueue: Queue
  readonly eventBus: EventBus
  readonly jwtSecret: SecretReference
  readonly linkSecret: SecretReference
  readonly internalApiSecret: SecretReference
  /** Signs tickets and cookies of previews. */
  readonly previewSecret: SecretReference
  /** Prefix of the names of the teams' secrets, without a slash at the end. */
  readonly teamSecretsPrefix: string
}
export interface SocketResources {
  readonly socketStage: WebSocketStage
}
/** A stage's own task definition, from which each team's are made. */
export interface BaseTask {
  readonly definitionArn: string
  /** The teams' definitions have it, too. */
  readonly executionRoleArn: string
  readonly container: string
}
export interface TaskResources {
  readonly cluster: Cluster
  readonly tasks: Readonly<Record<TeamTaskKind, BaseTask>>
  readonly placement: TaskPlacement
}
/** Where tasks run, and what may connect to them. */
export interface TaskPlacement {
  readonly subnetIds: readonly string[]
  /** Of agents and workspace sync: nothing comes in. */
  readonly securityGroupIds: readonly string[]
  /** Of previews: the gateway comes in. */
  readonly previewSecurityGroupIds: readonly string[]
  readonly publicIp: boolean
}

export interface WorkspaceResources {
  readonly fileSystem: { readonly id: string; readonly arn: string }
  readonly teamRoleBoundaryArn: string
}

export interface Permission {
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly conditions?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Why a resource of it holds a `*`. */
  readonly wildcard?: string
}

export interface Grant<C extends Capability = Capability> {
  readonly environment: z.input<(typeof capabilityEnv)[C]>
  /** `stack` is the function's own: the account and region of ARNs. */
  readonly permissions: (stack: Stack) => readonly Permission[]
}
