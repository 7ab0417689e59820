import { Stack } from 'aws-cdk-lib'
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  IpAddresses,
  type ISubnet,
  type IVpc,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2'
import type { Construct } from 'constructs'
import { type Deployment, logGroup } from '../deployment.ts'
import type { TaskResources } from '../resources.ts'

export interface NetworkStackProps {
  readonly deployment: Deployment
}

/**
 * Where tasks run. By default public subnets without NAT: a task pays for a public address while it lives instead of the stage
 * paying for NAT gateways for ever (ADR-012). Nothing can connect to a task either way: its security group lets nothing in.
 */
export class NetworkStack extends Stack {
  readonly vpc: IVpc
  readonly placement: TaskResources['placement']
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
    this.taskSubnets = behindNat ? vpc.privateSubnets : vpc.publicSubnets
    this.placement = {
      subnetIds: this.taskSubnets.map((subnet) => subnet.subnetId),
      securityGroupIds: [tasks.securityGroupId],
      publicIp: !behindNat,
    }
  }
}
