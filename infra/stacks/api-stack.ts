import { CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import {
  HttpApi,
  HttpMethod,
  HttpNoneAuthorizer,
  HttpRoute,
  HttpRouteKey,
  HttpStage,
} from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpLambdaAuthorizer, HttpLambdaResponseType } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { FilterPattern, type IFilterPattern } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import { type FunctionId, functions } from '../../shared/contracts/functions.ts'
import { defaultRoute, type Route, routes } from '../../shared/contracts/routes.ts'
import { acknowledge } from '../acknowledge.ts'
import { accessLog } from '../constructs/access-log.ts'
import { ALARM_PERIOD, alarm } from '../constructs/alarm.ts'
import { ControlPlaneFunction } from '../constructs/control-plane-function.ts'
import { type Deployment, physicalName } from '../deployment.ts'
import type { DataResources, SocketResources } from '../resources.ts'

export interface ApiStackProps {
  readonly deployment: Deployment
  readonly data: DataResources
  readonly sockets: SocketResources
}

/** Seconds an answer of the authorizer is used again for the same token: what an expired token gains at most. */
const AUTHORIZER_CACHE = Duration.seconds(60)
/** Faults in one alarm window. */
const SERVER_ERRORS = 5

/**
 * Lines of the access log that count as faults: every 5xx but the 503 of a route that wakes what it needs. The stage's own 5xx metric cannot
 * tell them apart, and nobody is to be called at night because a team opened its editor. ("Using filter patterns to match terms in
 * JSON log events" in CloudWatch Logs' guide: `*` in a string, `&&`, `||`.)
 */
function faultPattern(): IFilterPattern {
  const { all, any, stringValue } = FilterPattern
  const waking = Object.values<Route>(routes).filter((route) => route.wakes)
  const notWaking = waking.map((route) => stringValue('$.routeKey', '!=', routeKey(route)))
  return all(stringValue('$.status', '=', '5*'), any(stringValue('$.status', '!=', '503'), all(...notWaking)))
}

const routeKey = ({ method, path }: Route): string => `${method} ${gatewayPath(path)}`

/** Why no authorizer of the gateway stands before a route. */
const WITHOUT_AUTHORIZER: Readonly<Record<Exclude<Route['auth'], 'user'>, (route: Route) => string>> = {
  none: ({ summary }) => `Open by contract: ${summary}`,
  signature: () =>
    'The handler checks the signature, which is over method, path, body and time; an authorizer sees no body.',
  member: () =>
    "The handler checks the token: the same request of a team that is not on containers is the existing server's to judge.",
}

/** The HTTP API: exactly the routes of shared/contracts/routes.ts, and its `$default` for what is the existing server's. */
export class ApiStack extends Stack {
  readonly httpApiId: string

  constructor(scope: Construct, id: string, { deployment, data, sockets }: ApiStackProps) {
    super(scope, id, { description: 'Covibes control plane: HTTP API' })
    const { config } = deployment
    const resources = { ...data, ...sockets }
    const api = new HttpApi(this, 'HttpApi', {
      apiName: physicalName(config, 'http'),
      description: 'Covibes control plane',
      createDefaultStage: false,
    })
    this.httpApiId = api.apiId
    const accesses = accessLog(this, 'http', config)
    new HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      detailedMetricsEnabled: true,
      throttle: { rateLimit: config.throttle.rate, burstLimit: config.throttle.burst },
      accessLogSettings: accesses.settings,
    })
    const faults = accesses.group.addMetricFilter('Faults', {
      metricNamespace: 'Covibes',
      metricName: physicalName(config, 'http-faults'),
      filterPattern: faultPattern(),
    })
    alarm(this, 'ServerErrors', deployment, {
      metric: faults.metric({ period: ALARM_PERIOD, statistic: 'Sum' }),
      threshold: SERVER_ERRORS,
      description: 'The HTTP API answers 5xx that nobody meant. The access log names the routes.',
    })

    const authorizeUser = new ControlPlaneFunction(this, 'authorize-user', { deployment, resources })
    const user = new HttpLambdaAuthorizer('UserAuthorizer', authorizeUser.lambda, {
      identitySource: ['$request.header.Authorization'],
      responseTypes: [HttpLambdaResponseType.SIMPLE],
      resultsCacheTtl: AUTHORIZER_CACHE,
    })
    const integrations = new Map<FunctionId, HttpLambdaIntegration>()
    for (const functionId of httpFunctions()) {
      const { lambda } = new ControlPlaneFunction(this, functionId, { deployment, resources })
      integrations.set(functionId, new HttpLambdaIntegration(`${functionId}-integration`, lambda))
    }
    const integrationOf = (routeId: string, functionId: string) => {
      const integration = integrations.get(functionId as FunctionId)
      if (integration === undefined) throw new Error(`Route ${routeId}: no http function "${functionId}".`)
      return integration
    }
    for (const [routeId, route] of Object.entries<Route>(routes)) {
      const integration = integrationOf(routeId, route.handler)
      const added = api.addRoutes({
        path: gatewayPath(route.path),
        methods: [HttpMethod[route.method]],
        integration,
        authorizer: route.auth === 'user' ? user : new HttpNoneAuthorizer(),
      })
      if (route.auth !== 'user') {
        for (const open of added) acknowledge(open, { 'AwsSolutions-APIG4': WITHOUT_AUTHORIZER[route.auth](route) })
      }
    }
    const forwarded = new HttpRoute(this, 'Default', {
      httpApi: api,
      routeKey: HttpRouteKey.DEFAULT,
      integration: integrationOf(defaultRoute.routeKey, defaultRoute.handler),
      authorizer: new HttpNoneAuthorizer(),
    })
    acknowledge(forwarded, { 'AwsSolutions-APIG4': `Open by contract: ${defaultRoute.summary}` })
    new CfnOutput(this, 'HttpApiUrl', { value: api.apiEndpoint })
  }
}

type HttpFunctionId = {
  [F in FunctionId]: (typeof functions)[F]['trigger'] extends 'http' ? F : never
}[FunctionId]

function httpFunctions(): readonly HttpFunctionId[] {
  const isHttp = (id: FunctionId): id is HttpFunctionId => functions[id].trigger === 'http'
  return (Object.keys(functions) as FunctionId[]).filter(isHttp)
}

/**
 * A path as an HTTP API can hold it: a route key that ends in a slash is refused (SAM issue 1949, CDK's RoutePathAlwaysStart), and a
 * greedy variable catches the bare slash, too (storacha/w3infra pull request 166). So `/socket.io/` becomes `/socket.io/{proxy+}`.
 */
export function gatewayPath(path: string): string {
  return path.length > 1 && path.endsWith('/') ? `${path}{proxy+}` : path
}
