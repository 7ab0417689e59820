import { CfnOutput, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { CfnAccount } from 'aws-cdk-lib/aws-apigateway'
import { WebSocketApi, type WebSocketRouteOptions, WebSocketStage } from 'aws-cdk-lib/aws-apigatewayv2'
import { WebSocketLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { ManagedPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import type { LinkUp } from '../../shared/contracts/link.ts'
import { acknowledge } from '../acknowledge.ts'
import { accessLog } from '../constructs/access-log.ts'
import { ControlPlaneFunction } from '../constructs/control-plane-function.ts'
import { EveryMinute } from '../constructs/schedule.ts'
import { type Deployment, physicalName } from '../deployment.ts'
import type { DataResources, SocketResources } from '../resources.ts'

export interface RealtimeStackProps {
  readonly deployment: Deployment
  readonly data: DataResources
}

/** The one stage of the WebSocket API; it is the whole path of a socket's URL. */
const STAGE_NAME = 'live'
/** The `action` of every message of a link. */
const LINK_ROUTE: LinkUp['action'] = 'link'

/** The WebSocket API for browsers (Socket.IO, `$default`) and for containers' links (`link`), its functions and the pings. */
export class RealtimeStack extends Stack {
  readonly resources: SocketResources

  constructor(scope: Construct, id: string, { deployment, data }: RealtimeStackProps) {
    super(scope, id, { description: 'Covibes control plane: WebSocket API' })
    const { config } = deployment
    const api = new WebSocketApi(this, 'SocketApi', {
      apiName: physicalName(config, 'sockets'),
      description: "Socket.IO of the browsers and the containers' links",
      routeSelectionExpression: '$request.body.action',
    })
    const stage = new WebSocketStage(this, 'Stage', {
      webSocketApi: api,
      stageName: STAGE_NAME,
      autoDeploy: true,
      detailedMetricsEnabled: true,
      throttle: { rateLimit: config.throttle.rate, burstLimit: config.throttle.burst },
      accessLogSettings: accessLog(this, 'webSocket', config).settings,
    })
    stage.node.addDependency(this.gatewayLogging())
    this.resources = { socketStage: stage }
    const resources = { ...data, ...this.resources }

    const routes = {
      $connect: new ControlPlaneFunction(this, 'on-connect', { deployment, resources }),
      $disconnect: new ControlPlaneFunction(this, 'on-disconnect', { deployment, resources }),
      $default: new ControlPlaneFunction(this, 'on-socket-message', { deployment, resources }),
      [LINK_ROUTE]: new ControlPlaneFunction(this, 'on-link-message', { deployment, resources }),
    }
    for (const [routeKey, { lambda }] of Object.entries(routes)) {
      const route = api.addRoute(routeKey, routeTo(routeKey, lambda))
      acknowledge(route, {
        'AwsSolutions-APIG4':
          'Only $connect can be authorized. on-connect checks a link by its ticket or key; a browser authenticates inside Socket.IO, as the existing client does.',
      })
    }
    new EveryMinute(
      this,
      'PingEveryMinute',
      deployment,
      new ControlPlaneFunction(this, 'ping-connections', { deployment, resources }),
    )
    new CfnOutput(this, 'SocketUrl', { value: stage.url })
  }

  /**
   * WebSocket APIs write access logs with a role that is set once for the account and region ("CloudWatch Logs role ARN must be set in
   * account settings" otherwise). It stays when the stack goes: other APIs of the account may log by it.
   */
  private gatewayLogging(): CfnAccount {
    const role = new Role(this, 'GatewayLogRole', {
      assumedBy: new ServicePrincipal('apigateway.amazonaws.com'),
      managedPolicies: [ManagedPolicy.fromAwsManagedPolicyName('service-role/AmazonAPIGatewayPushToCloudWatchLogs')],
    })
    role.applyRemovalPolicy(RemovalPolicy.RETAIN)
    acknowledge(role, {
      'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]':
        "The account's setting serves every API of the account, whose log groups this app does not know; AWS made the policy for it.",
    })
    const account = new CfnAccount(this, 'GatewayAccount', { cloudWatchRoleArn: role.roleArn })
    account.applyRemovalPolicy(RemovalPolicy.RETAIN)
    return account
  }
}

function routeTo(routeKey: string, lambda: IFunction): WebSocketRouteOptions {
  return { integration: new WebSocketLambdaIntegration(`${routeKey.replace('$', '')}Integration`, lambda) }
}
