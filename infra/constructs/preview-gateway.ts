import { Duration } from 'aws-cdk-lib'
import type { ISecurityGroup, ISubnet, IVpc } from 'aws-cdk-lib/aws-ec2'
import { Platform } from 'aws-cdk-lib/aws-ecr-assets'
import {
  AwsLogDriverMode,
  Capability,
  Cluster,
  ContainerImage,
  ContainerInsights,
  Secret as ContainerSecret,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  type ICluster,
  LinuxParameters,
  LogDrivers,
  OperatingSystemFamily,
  UlimitName,
} from 'aws-cdk-lib/aws-ecs'
import { PolicyStatement, Role } from 'aws-cdk-lib/aws-iam'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Construct } from 'constructs'
import { CONTAINER_USER, HEALTH_CHECK } from '../../shared/contracts/limits.ts'
import { previewKeys, previewsTable } from '../../shared/contracts/previews.ts'
import { acknowledge } from '../acknowledge.ts'
import { isLoopback } from '../config.ts'
import { type Deployment, logGroup, physicalName } from '../deployment.ts'
import type { DataResources, TaskPlacement } from '../resources.ts'
import { ecsTasks, healthProbe } from './container-task.ts'

/** From the build context, the repository root. */
export const GATEWAY_IMAGE = {
  dockerfile: 'container-images/preview-gateway/Dockerfile',
  notInImage: ['container-images/agent/src', 'container-images/workspace-sync/src', 'container-images/preview/src'],
} as const

/** Where the gateway takes visits, and where it says how it is. */
export const GATEWAY_PORTS = { visits: 8080, health: 8081 } as const

/** The name of the container in the gateway's task, and of its target in the load balancer. */
const CONTAINER = 'gateway'

/** Half a vCPU passes thousands of requests a second on; memory is what its 10,000 connections take. */
const SIZE = { cpu: 512, memory: 1024 } as const

/** Two, so that one can go: a deployment, a zone or a fault takes one at a time. */
const GATEWAYS = 2

/** Open files: a connection to the visitor and one to the task for each of 10,000, and some to spare. */
const OPEN_FILES = 65_535

/** Seconds between SIGTERM and SIGKILL: the gateway ends what is under way within 30 s. */
const STOP_TIMEOUT_SECONDS = 40

export interface PreviewGatewayProps {
  readonly deployment: Deployment
  /** Previews are one label below it. */
  readonly domain: string
  /** Who may frame previews. */
  readonly appOrigin: string
  readonly data: DataResources
  readonly network: {
    readonly vpc: IVpc
    readonly taskSubnets: readonly ISubnet[]
    readonly placement: Pick<TaskPlacement, 'publicIp'>
  }
  readonly securityGroup: ISecurityGroup
}

/**
 * The program between visitors and previews as a service. Its cluster is its own: in that of the teams' tasks, which functions start,
 * watch and stop, it would be one more to be told apart.
 */
export class PreviewGateway extends Construct {
  readonly service: FargateService

  constructor(scope: Construct, id: string, props: PreviewGatewayProps) {
    super(scope, id)
    const { deployment, network } = props
    const cluster = new Cluster(this, 'Cluster', {
      vpc: network.vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    })
    const definition = this.definition(props)
    this.addContainer(definition, props)
    this.service = new FargateService(this, 'Service', {
      serviceName: physicalName(deployment.config, 'gateway'),
      // CDK's own declarations do not hold under exactOptionalPropertyTypes.
      cluster: cluster as ICluster,
      taskDefinition: definition,
      desiredCount: GATEWAYS,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      healthCheckGracePeriod: Duration.seconds(HEALTH_CHECK.startPeriodSeconds),
      securityGroups: [props.securityGroup],
      vpcSubnets: { subnets: [...network.taskSubnets] },
      assignPublicIp: network.placement.publicIp,
    })
  }

  private definition({ deployment, data }: PreviewGatewayProps): FargateTaskDefinition {
    const { config } = deployment
    const arm = config.agentArchitecture === 'ARM64'
    const taskRole = new Role(this, 'TaskRole', {
      description: 'The gateway: looks previews up, uses tickets up, writes down visits, asks for wake-ups',
      assumedBy: ecsTasks(this),
    })
    for (const statement of directoryStatements(data)) taskRole.addToPolicy(statement)
    const executionRole = new Role(this, 'ExecutionRole', {
      description: 'ECS itself: pulls the image, reads the secret, writes the log',
      assumedBy: ecsTasks(this),
    })
    acknowledge(executionRole, {
      'AwsSolutions-IAM5[Resource::*]':
        'ecr:GetAuthorizationToken takes * only; pulling is granted on the one repository.',
    })
    const definition = new FargateTaskDefinition(this, 'Definition', {
      // Not `preview-…`, which are the names of what teams' previews run as: on-work may register and run those.
      family: physicalName(config, 'gateway'),
      cpu: SIZE.cpu,
      memoryLimitMiB: SIZE.memory,
      runtimePlatform: {
        cpuArchitecture: arm ? CpuArchitecture.ARM64 : CpuArchitecture.X86_64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole,
      executionRole,
    })
    acknowledge(definition, {
      'AwsSolutions-ECS2': 'The variables are names and addresses; the one secret comes from Secrets Manager.',
    })
    return definition
  }

  private addContainer(definition: FargateTaskDefinition, props: PreviewGatewayProps): void {
    const { deployment, data, domain } = props
    const { config } = deployment
    const linux = new LinuxParameters(this, 'Linux')
    linux.dropCapabilities(Capability.ALL)
    const secret = Secret.fromSecretCompleteArn(this, 'Secret', data.previewSecret.secretArn)
    const container = definition.addContainer(CONTAINER, {
      image: ContainerImage.fromAsset(deployment.imageDirectory, {
        file: GATEWAY_IMAGE.dockerfile,
        exclude: [...GATEWAY_IMAGE.notInImage],
        platform: config.agentArchitecture === 'ARM64' ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64,
      }),
      user: `${CONTAINER_USER.uid}:${CONTAINER_USER.gid}`,
      readonlyRootFilesystem: true,
      linuxParameters: linux,
      environment: {
        PREVIEWS_TABLE: data.tables.previews.tableName,
        WORK_QUEUE_URL: data.workQueue.queueUrl,
        PREVIEW_DOMAIN: domain,
        PREVIEW_SCHEME: isLoopback(domain) ? 'http' : 'https',
        APP_ORIGIN: props.appOrigin,
        PORT: String(GATEWAY_PORTS.visits),
        HEALTH_PORT: String(GATEWAY_PORTS.health),
        BEHIND_LOAD_BALANCER: 'true',
      },
      secrets: { PREVIEW_SECRET: ContainerSecret.fromSecretsManager(secret) },
      portMappings: Object.values(GATEWAY_PORTS).map((containerPort) => ({ containerPort })),
      healthCheck: {
        command: ['CMD', 'node', '-e', healthProbe(GATEWAY_PORTS.health)],
        interval: Duration.seconds(HEALTH_CHECK.intervalSeconds),
        timeout: Duration.seconds(HEALTH_CHECK.timeoutSeconds),
        retries: HEALTH_CHECK.retries,
      },
      stopTimeout: Duration.seconds(STOP_TIMEOUT_SECONDS),
      logging: LogDrivers.awsLogs({
        streamPrefix: CONTAINER,
        logGroup: logGroup(this, 'Logs', config),
        mode: AwsLogDriverMode.NON_BLOCKING,
      }),
    })
    container.addUlimits({ name: UlimitName.NOFILE, softLimit: OPEN_FILES, hardLimit: OPEN_FILES })
  }
}

/**
 * What the gateway may do: it faces the world on one side and what agents wrote on the other. Keys and attributes: DynamoDB, "Using
 * IAM policy conditions for fine-grained access control". A call always has the keys that are asked for here, so ForAllValues,
 * which also holds for none, cannot be satisfied by leaving them out.
 */
function directoryStatements({ tables, workQueue }: DataResources): readonly PolicyStatement[] {
  const { tableArn } = tables.previews
  const onItems = (
    action: string,
    key: string,
    more: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
  ) =>
    new PolicyStatement({
      actions: [`dynamodb:${action}`],
      resources: [tableArn],
      conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [key] }, ...more },
    })
  return [
    onItems('GetItem', previewKeys.label('*')),
    onItems('PutItem', previewKeys.ticket('*')),
    onItems('UpdateItem', previewKeys.label('*'), {
      'ForAllValues:StringEquals': { 'dynamodb:Attributes': [previewsTable.partitionKey, 'lastVisitAt'] },
      // An answer with the whole item would hold attributes that were not asked for.
      StringEqualsIfExists: { 'dynamodb:ReturnValues': ['NONE', 'UPDATED_OLD', 'UPDATED_NEW'] },
    }),
    new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [workQueue.queueArn] }),
  ]
}
