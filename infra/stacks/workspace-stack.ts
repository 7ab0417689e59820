import { CfnOutput, Stack } from 'aws-cdk-lib'
import { Metric } from 'aws-cdk-lib/aws-cloudwatch'
import { type ISubnet, type IVpc, Peer, Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2'
import {
  FileSystem,
  LifecyclePolicy,
  OutOfInfrequentAccessPolicy,
  PerformanceMode,
  ThroughputMode,
} from 'aws-cdk-lib/aws-efs'
import { AnyPrincipal, Effect, ManagedPolicy, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { Construct } from 'constructs'
import { ALARM_PERIOD, alarm } from '../constructs/alarm.ts'
import { type Deployment, physicalName, removalPolicy } from '../deployment.ts'
import type { TaskResources, WorkspaceResources } from '../resources.ts'

export interface WorkspaceStackProps {
  readonly deployment: Deployment
  readonly network: {
    readonly vpc: IVpc
    readonly taskSubnets: readonly ISubnet[]
    readonly placement: TaskResources['placement']
  }
}

/** Percent of what a file system of its performance mode does in a second. */
const IO_LIMIT_PERCENT = 80

/** All that an NFS client can be allowed. */
const CLIENT_ACTIONS = ['ClientMount', 'ClientWrite', 'ClientRootAccess'].map((action) => `elasticfilesystem:${action}`)
/** What a team's role may have at most: nobody is root on the file system. */
const TEAM_ACTIONS = ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite']

/**
 * The teams' files, and the limit of what a team's roles can be given (ADR-051). Access points and roles are made at run time, two
 * each a team; what binds them to each other is in each role's own policy, because a file system's policy cannot name roles that
 * do not exist yet.
 */
export class WorkspaceStack extends Stack {
  readonly resources: WorkspaceResources

  constructor(scope: Construct, id: string, { deployment, network }: WorkspaceStackProps) {
    super(scope, id, { description: "Covibes control plane: the teams' files" })
    const { config } = deployment
    const fileSystem = this.fileSystem(config, network)
    const boundary = new ManagedPolicy(this, 'TeamRoleBoundary', {
      // Teams' roles hold its ARN, so it is never replaced by one of another name; a new content counts for all of them at once.
      managedPolicyName: physicalName(config, 'team-role-boundary'),
      description: 'The most that a role of a team can be allowed: to mount the file system through an access point',
      document: new PolicyDocument({ statements: [this.atMost(fileSystem.fileSystemArn)] }),
    })
    boundary.applyRemovalPolicy(removalPolicy(config))
    this.resources = {
      fileSystem: { id: fileSystem.fileSystemId, arn: fileSystem.fileSystemArn },
      teamRoleBoundaryArn: boundary.managedPolicyArn,
    }
    alarm(this, 'IoLimit', deployment, {
      metric: new Metric({
        namespace: 'AWS/EFS',
        metricName: 'PercentIOLimit',
        dimensionsMap: { FileSystemId: fileSystem.fileSystemId },
        statistic: 'Average',
        period: ALARM_PERIOD,
      }),
      threshold: IO_LIMIT_PERCENT,
      description:
        "The file system nears the operations that it does in a second: every team's work gets slow. Look for a task that reads or writes without end.",
    })
    new CfnOutput(this, 'FileSystemId', { value: fileSystem.fileSystemId })
  }

  private fileSystem(config: Deployment['config'], { vpc, taskSubnets, placement }: WorkspaceStackProps['network']) {
    const securityGroup = new SecurityGroup(this, 'FileSystemSecurityGroup', {
      vpc,
      description: 'The file system: tasks mount it, nothing else comes in',
      allowAllOutbound: false,
    })
    for (const tasks of [...placement.securityGroupIds, ...placement.previewSecurityGroupIds]) {
      securityGroup.addIngressRule(Peer.securityGroupId(tasks), Port.NFS, 'Tasks mount it')
    }
    return new FileSystem(this, 'Files', {
      vpc,
      vpcSubnets: { subnets: [...taskSubnets] },
      securityGroup,
      fileSystemName: physicalName(config, 'files'),
      encrypted: true,
      performanceMode: PerformanceMode.GENERAL_PURPOSE,
      throughputMode: ThroughputMode.ELASTIC,
      lifecyclePolicy: LifecyclePolicy.AFTER_30_DAYS,
      outOfInfrequentAccessPolicy: OutOfInfrequentAccessPolicy.AFTER_1_ACCESS,
      enableAutomaticBackups: config.retain,
      fileSystemPolicy: mountsOnly(),
      removalPolicy: removalPolicy(config),
    })
  }

  private atMost(fileSystemArn: string): PolicyStatement {
    return new PolicyStatement({
      actions: TEAM_ACTIONS,
      resources: [fileSystemArn],
      conditions: {
        Bool: { 'aws:SecureTransport': 'true', 'elasticfilesystem:AccessedViaMountTarget': 'true' },
        StringLike: {
          'elasticfilesystem:AccessPointArn': this.formatArn({
            service: 'elasticfilesystem',
            resource: 'access-point',
            resourceName: '*',
          }),
        },
      },
    })
  }
}

/**
 * Denies whatever is not a mount by a role, over TLS, through an access point, of a client that is not root. It allows nothing: a
 * policy that does not allow anonymous clients refuses them, and a role is allowed by its own policy, which names its one access point.
 *
 * Only the keys of EFS's own list are used: no other, such as `aws:PrincipalArn` or `aws:PrincipalTag`, is enforced for NFS clients
 * (EFS: "Using IAM to control access to file systems", "EFS condition keys for clients").
 */
function mountsOnly(): PolicyDocument {
  const deny = (sid: string, actions: readonly string[], conditions?: Record<string, Record<string, string>>) =>
    new PolicyStatement({
      sid,
      effect: Effect.DENY,
      principals: [new AnyPrincipal()],
      actions: [...actions],
      // In a file system's policy: the file system that it belongs to.
      resources: ['*'],
      ...(conditions === undefined ? {} : { conditions }),
    })
  return new PolicyDocument({
    statements: [
      deny('WithoutTls', CLIENT_ACTIONS, { Bool: { 'aws:SecureTransport': 'false' } }),
      deny('WithoutAccessPoint', CLIENT_ACTIONS, { Null: { 'elasticfilesystem:AccessPointArn': 'true' } }),
      deny('WithoutMountTarget', CLIENT_ACTIONS, { Bool: { 'elasticfilesystem:AccessedViaMountTarget': 'false' } }),
      deny('AsRoot', ['elasticfilesystem:ClientRootAccess']),
    ],
  })
}
