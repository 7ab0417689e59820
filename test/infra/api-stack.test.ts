import { describe, expect, it } from 'vitest'
import { gatewayPath } from '../../infra/stacks/api-stack.ts'
import { defaultRoute, type Route, routes } from '../../shared/contracts/routes.ts'
import { lambdaOf } from './support/roles.ts'
import { type Resource, synthesized } from './support/synthesized.ts'

const app = synthesized('production')
const contract = Object.values<Route>(routes)
const httpApi = app.ofType('AWS::ApiGatewayV2::Api').find(({ Properties }) => Properties.ProtocolType === 'HTTP')
const templateRoutes = app.ofType('AWS::ApiGatewayV2::Route').filter(({ stack }) => stack === 'api')
const keyOf = (route: Route) => `${route.method} ${gatewayPath(route.path)}`

/** Logical id of the function that a route's integration calls. */
function functionBehind(route: Resource): string {
  const integrationId = JSON.stringify(route.Properties.Target).match(/"Ref":"(\w+)"/)?.[1]
  const integration = app.ofType('AWS::ApiGatewayV2::Integration').find(({ logicalId }) => logicalId === integrationId)
  expect(integration?.Properties.PayloadFormatVersion).toBe('2.0')
  return integration?.Properties.IntegrationUri['Fn::GetAtt'][0]
}

describe('HTTP API', () => {
  it('has exactly the routes of the contract and the default one', () => {
    const keys = [...contract.map(keyOf), defaultRoute.routeKey]
    expect(templateRoutes.map(({ Properties }) => Properties.RouteKey).sort()).toEqual(keys.sort())
    for (const { Properties } of templateRoutes) expect(Properties.ApiId).toEqual({ Ref: httpApi?.logicalId })
  })

  it.each(Object.entries<Route>(routes))(
    '%s: calls the function of the contract, authorized as the contract says',
    (_, route) => {
      const made = templateRoutes.find(({ Properties }) => Properties.RouteKey === keyOf(route))
      if (made === undefined) throw new Error(`${keyOf(route)} is not in the template`)
      expect(functionBehind(made)).toBe(lambdaOf(app, 'production', route.handler as never).logicalId)
      expect(made.Properties.AuthorizationType).toBe(route.auth === 'user' ? 'CUSTOM' : 'NONE')
      const authorizer = app.ofType('AWS::ApiGatewayV2::Authorizer')[0]?.logicalId
      expect(made.Properties.AuthorizerId).toEqual(route.auth === 'user' ? { Ref: authorizer } : undefined)
    },
  )

  it('has routes that authorize themselves, and only functions behind them that can', () => {
    const secrets = { signature: 'INTERNAL_API_SECRET_ID', member: 'JWT_SECRET_ID' } as const
    const own = contract.filter((route) => route.auth === 'signature' || route.auth === 'member')
    expect(own).not.toEqual([])
    for (const { auth, handler } of own) {
      const { Variables } = lambdaOf(app, 'production', handler as never).Properties.Environment
      expect(Variables).toHaveProperty(secrets[auth as keyof typeof secrets])
    }
  })

  it('$default: whatever no route takes goes to the function that forwards it, which asks nobody', () => {
    const made = templateRoutes.find(({ Properties }) => Properties.RouteKey === '$default')
    if (made === undefined) throw new Error('no $default')
    expect(functionBehind(made)).toBe(lambdaOf(app, 'production', defaultRoute.handler).logicalId)
    expect([made.Properties.AuthorizationType, made.Properties.AuthorizerId]).toEqual(['NONE', undefined])
  })

  it('authorizes by a simple answer to the Authorization header', () => {
    const authorizers = app.ofType('AWS::ApiGatewayV2::Authorizer')
    expect(authorizers).toHaveLength(1)
    expect(authorizers[0]?.Properties).toMatchObject({
      AuthorizerType: 'REQUEST',
      AuthorizerPayloadFormatVersion: '2.0',
      EnableSimpleResponses: true,
      IdentitySource: ['$request.header.Authorization'],
      AuthorizerResultTtlInSeconds: 60,
    })
    const uri = JSON.stringify(authorizers[0]?.Properties.AuthorizerUri)
    expect(uri).toContain(lambdaOf(app, 'production', 'authorize-user').logicalId)
  })

  it('lets API Gateway call every function behind it, and nobody else', () => {
    const permissions = app.ofType('AWS::Lambda::Permission').filter(({ stack }) => stack === 'api')
    const called = permissions.map(({ Properties }) => Properties.FunctionName['Fn::GetAtt'][0])
    const behind = [...templateRoutes.map(functionBehind), lambdaOf(app, 'production', 'authorize-user').logicalId]
    expect([...new Set(called)].sort()).toEqual([...new Set(behind)].sort())
    for (const { Properties } of permissions) {
      expect(Properties.Principal).toBe('apigateway.amazonaws.com')
      expect(JSON.stringify(Properties.SourceArn)).toContain(httpApi?.logicalId)
    }
  })

  it('is throttled', () => {
    app.templates.api.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: '$default',
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 2000, ThrottlingBurstLimit: 2000 },
    })
  })
})

describe('the alarm on faults', () => {
  const filter = app.ofType('AWS::Logs::MetricFilter').find(({ stack }) => stack === 'api')
  const pattern: string = filter?.Properties.FilterPattern

  /** The pattern as CloudWatch Logs reads it: `=` and `!=` on strings, where `*` stands for anything. */
  function counts(line: { status: string; routeKey: string }): boolean {
    const terms = pattern.slice(1, -1).replaceAll(/\$\.(\w+) (!?=) "([^"]*)"/g, (_, field, operator, text) => {
      const value = line[field as keyof typeof line]
      const isLike = text.endsWith('*') ? value.startsWith(text.slice(0, -1)) : value === text
      return String(isLike === (operator === '='))
    })
    expect(terms).toMatch(/^[\s()&|]*(?:(?:true|false)[\s()&|]*)+$/)
    return new Function(`return ${terms}`)() as boolean
  }

  it('counts every 5xx but the 503 of a route that wakes what it needs', () => {
    const waking = contract.filter(({ wakes }) => wakes).map(keyOf)
    expect(waking.sort()).toEqual(['GET /api/ide/file', 'GET /api/ide/files', 'POST /api/ide/file'])
    for (const key of [...contract.map(keyOf), defaultRoute.routeKey]) {
      for (const status of ['200', '403', '429']) expect(counts({ status, routeKey: key })).toBe(false)
      for (const status of ['500', '502', '504', '507']) expect(counts({ status, routeKey: key })).toBe(true)
      expect(counts({ status: '503', routeKey: key })).toBe(!waking.includes(key))
    }
  })

  it('reads the access log of the HTTP API, which names what the pattern asks for', () => {
    const stage = app
      .ofType('AWS::ApiGatewayV2::Stage')
      .find(({ stack, Properties }) => stack === 'api' && Properties.StageName === '$default')
    const { DestinationArn, Format } = stage?.Properties.AccessLogSettings ?? {}
    expect(JSON.stringify(DestinationArn)).toContain(filter?.Properties.LogGroupName.Ref)
    expect(JSON.parse(Format)).toMatchObject({ status: '$context.status', routeKey: '$context.routeKey' })
    const made = filter?.Properties.MetricTransformations[0]
    app.templates.api.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: made.MetricNamespace,
      MetricName: made.MetricName,
      Statistic: 'Sum',
      Period: 300,
      Threshold: 5,
    })
  })
})

describe('access logs of both APIs', () => {
  it('name the request and nothing that could hold a secret', () => {
    const stages = app.ofType('AWS::ApiGatewayV2::Stage')
    expect(stages).toHaveLength(2)
    for (const { Properties } of stages) {
      const fields = Object.values<string>(JSON.parse(Properties.AccessLogSettings.Format))
      expect(fields).toContain('$context.requestId')
      // Paths hold no secret but are logged by route key; queries and headers carry tokens, tickets and session ids.
      expect(fields.filter((field) => /path|query|header|authorizer\.(?!error)/i.test(field))).toEqual([])
    }
  })
})

describe('gatewayPath', () => {
  it('turns a path that ends in a slash, which a route key cannot, into one that catches it', () => {
    expect(gatewayPath('/socket.io/')).toBe('/socket.io/{proxy+}')
    expect(gatewayPath('/api/agents/{id}')).toBe('/api/agents/{id}')
    expect(gatewayPath('/')).toBe('/')
  })
})
