import { Stack } from 'aws-cdk-lib'
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  IpAddresses,
  type ISecurityGroup,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2'
import type { Construct } from 'constructs'
import { PREVIEW_PORTS } from '../../shared/contracts/limits.ts'
import { type Deployment, logGroup } from '../deployment.ts'
import type { TaskPlacement } from '../resources.ts'

export interface NetworkStackProps {
  readonly deployment: Deployment
}

/**
 * Where tasks run. By default public subnets without NAT: a task pays for a public address while it lives instead of the stage
 * paying for NAT gateways for ever (ADR-012). Nothing can connect to a task either way: its security group lets nothing in, but for
 * the gateway to a preview's port (ADR-061).
 */
export class NetworkStack extends Stack {
  readonly vpc: IVpc
  readonly placement: TaskPlacement
  /** Of the preview gateway's tasks; its load balancer is let in where that is made. */
  readonly gatewaySecurityGroup: ISecurityGroup
  /** The subnets of `placement`. */
  readonly taskSubnets: readonly ISubnet[]

  constructor(scope: Construct, id: string, { deployment }: NetworkStackProps) {
    super(scope, id, { description: 'Covibes control plane: the network that tasks run in' })
    const { config } = deployment
    const behindNat = config.natGateways > 0
    const vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr('10.64.0.0/16'),
      maxAzs: 2,
      natGateways: config.natGateways,
      // /18 and /20: one address a task, so ~32,000 tasks fit either way.
      subnetConfiguration: [
        { name: 'Public', subnetType: SubnetType.PUBLIC, cidrMask: behindNat ? 20 : 18, mapPublicIpOnLaunch: false },
        ...(behindNat ? [{ name: 'Tasks', subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 18 }] : []),
      ],
      gatewayEndpoints: {
        DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
        // Image layers come from S3; without this they would pass the NAT gateway and be paid by the byte.
        S3: { service: GatewayVpcEndpointAwsService.S3 },
      },
      // Its repair would be a custom resource with a function of its own; nothing here uses the default group.
      restrictDefaultSecurityGroup: false,
    })
    // CDK's own declarations do not hold under exactOptionalPropertyTypes.
    this.vpc = vpc as IVpc
    // Containers are hostile ground: who they talked to must be known afterwards.
    vpc.addFlowLog('FlowLog', {
      destination: FlowLogDestination.toCloudWatchLogs(logGroup(this, 'FlowLogs', config)),
    })
    const tasks = new SecurityGroup(this, 'TaskSecurityGroup', {
      vpc: this.vpc,
      description: 'Agent tasks: nothing comes in, their links go out',
      allowAllOutbound: true,
    })
    const previews = new SecurityGroup(this, 'PreviewSecurityGroup', {
      vpc: this.vpc,
      description: 'Preview tasks: the gateway comes in, package registries and links go out',
      allowAllOutbound: true,
    })
    const gateway = new SecurityGroup(this, 'GatewaySecurityGroup', {
      vpc: this.vpc,
      description: 'Preview gateway: to previews and to AWS, nowhere else',
      // Names and credentials are not filtered by security groups, so ECS and DNS need no rule.
      allowAllOutbound: false,
    })
    const ports = Port.tcpRange(PREVIEW_PORTS.min, PREVIEW_PORTS.max)
    previews.addIngressRule(gateway, ports, 'The ports that previews lease')
    gateway.addEgressRule(previews, ports, 'The ports that previews lease')
    gateway.addEgressRule(
      Peer.anyIpv4(),
      Port.HTTPS,
      'DynamoDB, SQS, ECR, logs and the secret, which have no address of their own',
    )
    this.gatewaySecurityGroup = gateway
    this.taskSubnets = behindNat ? vpc.privateSubnets : vpc.publicSubnets
    this.placement = {
      subnetIds: this.taskSubnets.map((subnet) => subnet.subnetId),
      securityGroupIds: [tasks.securityGroupId],
      previewSecurityGroupIds: [previews.securityGroupId],
      publicIp: !behindNat,
    }
  }
}
