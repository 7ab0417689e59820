import { CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import { Certificate, CertificateValidation, type ICertificate } from 'aws-cdk-lib/aws-certificatemanager'
import { type ISecurityGroup, type ISubnet, type IVpc, Port, SecurityGroup, SubnetType } from 'aws-cdk-lib/aws-ec2'
import {
  type ApplicationListener,
  ApplicationLoadBalancer,
  ApplicationProtocol,
  HttpCodeElb,
  ListenerAction,
  SslPolicy,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import { ARecord, HostedZone, type IHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53'
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets'
import type { Construct } from 'constructs'
import { PREVIEW_BALANCER_IDLE_MS } from '../../shared/contracts/previews.ts'
import { acknowledge } from '../acknowledge.ts'
import { isLoopback } from '../config.ts'
import { ALARM_PERIOD, alarm } from '../constructs/alarm.ts'
import { GATEWAY_PORTS, PreviewGateway } from '../constructs/preview-gateway.ts'
import type { Deployment } from '../deployment.ts'
import type { DataResources, TaskPlacement } from '../resources.ts'

export interface PreviewsStackProps {
  readonly deployment: Deployment
  /** Previews are one label below it. */
  readonly domain: string
  readonly data: DataResources
  readonly network: {
    readonly vpc: IVpc
    readonly taskSubnets: readonly ISubnet[]
    readonly placement: Pick<TaskPlacement, 'publicIp'>
    readonly gatewaySecurityGroup: ISecurityGroup
  }
  /** Who may frame previews. */
  readonly appOrigin: string
}

/** The balancer forgets a gateway that ends after so long; the gateway itself takes 30 s for its visitors. */
const DEREGISTRATION_DELAY = Duration.seconds(30)

/** Visits that the balancer itself had to refuse within one alarm window: no gateway took them. */
const REFUSED_VISITS = 20

/** The gateway, and the load balancer with a wildcard host in front of it (ADR-061). */
export class PreviewsStack extends Stack {
  constructor(scope: Construct, id: string, props: PreviewsStackProps) {
    super(scope, id, { description: 'Covibes control plane: the way to previews' })
    const { deployment, domain, network } = props
    const { config } = deployment
    const zone =
      config.previewHostedZoneId === undefined
        ? undefined
        : HostedZone.fromHostedZoneAttributes(this, 'Zone', {
            hostedZoneId: config.previewHostedZoneId,
            zoneName: domain,
          })
    // By its id: what is added to it then stands in this stack, and the network's knows nothing of it.
    const securityGroup = SecurityGroup.fromSecurityGroupId(
      this,
      'GatewaySecurityGroup',
      network.gatewaySecurityGroup.securityGroupId,
      { allowAllOutbound: false },
    )
    const { service } = new PreviewGateway(this, 'Gateway', { ...props, securityGroup })
    const balancer = this.balancer(network.vpc, config)
    const listener = this.listener(balancer, domain, config.previewCertificateArn, zone)
    const targets = listener.addTargets('Gateway', {
      targets: [service],
      port: GATEWAY_PORTS.visits,
      protocol: ApplicationProtocol.HTTP,
      deregistrationDelay: DEREGISTRATION_DELAY,
      healthCheck: {
        port: String(GATEWAY_PORTS.health),
        path: '/health',
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 2,
      },
    })
    balancer.connections.allowTo(securityGroup, Port.tcp(GATEWAY_PORTS.health), "The balancer's health check")
    if (zone !== undefined) {
      new ARecord(this, 'Wildcard', {
        zone,
        recordName: `*.${domain}.`,
        target: RecordTarget.fromAlias(new LoadBalancerTarget(balancer)),
      })
    }
    alarm(this, 'NoGateway', deployment, {
      metric: targets.metrics.healthyHostCount({ period: ALARM_PERIOD, statistic: 'Maximum' }),
      threshold: 1,
      when: 'lessThan',
      description: "No preview gateway is healthy: no preview can be seen. Look at the service's events and its log.",
    })
    alarm(this, 'VisitsRefused', deployment, {
      metric: balancer.metrics.httpCodeElb(HttpCodeElb.ELB_5XX_COUNT, { period: ALARM_PERIOD, statistic: 'Sum' }),
      threshold: REFUSED_VISITS,
      description:
        "The balancer answers visits of previews itself with 5xx: gateways do not take them or die. Look at the gateways' log.",
    })
    new CfnOutput(this, 'PreviewBalancer', {
      value: balancer.loadBalancerDnsName,
      description: `What the DNS record of *.${domain} points to`,
    })
  }

  private balancer(vpc: IVpc, config: Deployment['config']): ApplicationLoadBalancer {
    const securityGroup = new SecurityGroup(this, 'BalancerSecurityGroup', {
      vpc,
      description: 'Visits of previews come in from anywhere and go to the gateway',
      allowAllOutbound: false,
    })
    const balancer = new ApplicationLoadBalancer(this, 'Balancer', {
      vpc,
      vpcSubnets: { subnetType: SubnetType.PUBLIC },
      internetFacing: true,
      securityGroup,
      idleTimeout: Duration.millis(PREVIEW_BALANCER_IDLE_MS),
      // The gateway looks previews up by what the browser sent.
      preserveHostHeader: true,
      deletionProtection: config.retain,
    })
    acknowledge(balancer, {
      'AwsSolutions-ELB2':
        'Access logs hold whole paths, and the paths of previews hold tickets, with the app token behind them: they must stay off. The gateway logs what it does without either.',
    })
    acknowledge(securityGroup, {
      'AwsSolutions-EC23': 'Previews are for browsers anywhere; the gateway decides who sees them.',
    })
    return balancer
  }

  private listener(
    balancer: ApplicationLoadBalancer,
    domain: string,
    certificateArn: string | undefined,
    zone: IHostedZone | undefined,
  ): ApplicationListener {
    // Of the one-machine runtime, which has no certificate and takes nothing but this balancer's port.
    if (isLoopback(domain)) return balancer.addListener('Http', { port: 80, protocol: ApplicationProtocol.HTTP })
    balancer.addListener('Http', {
      port: 80,
      protocol: ApplicationProtocol.HTTP,
      defaultAction: ListenerAction.redirect({ protocol: 'HTTPS', port: '443', permanent: true }),
    })
    return balancer.addListener('Https', {
      port: 443,
      protocol: ApplicationProtocol.HTTPS,
      sslPolicy: SslPolicy.RECOMMENDED_TLS,
      certificates: [this.certificate(domain, certificateArn, zone)],
    })
  }

  private certificate(domain: string, arn: string | undefined, zone: IHostedZone | undefined): ICertificate {
    if (arn !== undefined) return Certificate.fromCertificateArn(this, 'Certificate', arn)
    return new Certificate(this, 'Certificate', {
      domainName: `*.${domain}`,
      validation: CertificateValidation.fromDns(zone),
    })
  }
}
