import * as z from 'zod'
import type { CloudAssembly, Resource } from '../assembly/cloud-assembly.ts'

/** A Lambda authorizer as a route uses it. */
export interface LambdaAuthorizer {
  readonly id: string
  readonly functionArn: string
  /** Selection expressions such as `$request.header.Authorization`; a request that lacks one is refused. */
  readonly identitySource: readonly string[]
  /** 0 for no cache. */
  readonly resultTtlSeconds: number
  /** Whether the function answers `{isAuthorized}`; otherwise with an IAM policy. */
  readonly simpleResponses: boolean
}

/** What a route's requests are passed to. */
export interface LambdaIntegration {
  readonly functionArn: string
  readonly timeoutMs: number
}

/** One route: `GET /agents/{id}` or `$default`. */
export interface ApiRoute {
  readonly routeKey: string
  readonly integration: LambdaIntegration
  readonly authorizer: LambdaAuthorizer | undefined
}

/** The `Cors` member of an API. Values are as configured; `*` stands for all. */
export interface CorsConfiguration {
  readonly allowOrigins: readonly string[]
  readonly allowMethods: readonly string[]
  readonly allowHeaders: readonly string[]
  readonly exposeHeaders: readonly string[]
  readonly maxAge: number | undefined
  readonly allowCredentials: boolean
}

/** A token bucket: requests in a second, and at once. */
export interface Throttling {
  readonly rateLimit: number
  readonly burstLimit: number
}

/** One stage of an API. */
export interface ApiStage {
  /** `$default` is served at the root, any other under `/{name}`. */
  readonly name: string
  readonly variables: Readonly<Record<string, string>>
  readonly defaultThrottling: Throttling | undefined
  readonly routeThrottling: ReadonlyMap<string, Throttling>
}

/** An API Gateway v2 API read from the assembly. */
export interface TemplateApi {
  readonly apiId: string
  readonly name: string
  readonly routes: readonly ApiRoute[]
  readonly stages: readonly ApiStage[]
  readonly cors: CorsConfiguration | undefined
  /** Of a WebSocket API: `$request.body.action`. */
  readonly routeSelectionExpression: string
}

const Settings = z.object({ ThrottlingRateLimit: z.number().optional(), ThrottlingBurstLimit: z.number().optional() })
const Strings = z.array(z.string()).default([])
const ApiProperties = z.object({
  Name: z.string().default(''),
  RouteSelectionExpression: z.string().default('$request.method $request.path'),
  CorsConfiguration: z
    .object({
      AllowOrigins: Strings,
      AllowMethods: Strings,
      AllowHeaders: Strings,
      ExposeHeaders: Strings,
      MaxAge: z.number().optional(),
      AllowCredentials: z.boolean().default(false),
    })
    .optional(),
})
const StageProperties = z.object({
  StageName: z.string(),
  StageVariables: z.record(z.string(), z.string()).default({}),
  DefaultRouteSettings: Settings.optional(),
  RouteSettings: z.record(z.string(), Settings).default({}),
})
const RouteProperties = z.object({
  RouteKey: z.string(),
  Target: z.string().optional(),
  AuthorizationType: z.enum(['NONE', 'CUSTOM', 'JWT', 'AWS_IAM']).default('NONE'),
  AuthorizerId: z.string().optional(),
})
const IntegrationProperties = z.object({
  IntegrationType: z.string(),
  IntegrationUri: z.string(),
  TimeoutInMillis: z.number().optional(),
})
const AuthorizerProperties = z.object({
  AuthorizerType: z.string(),
  AuthorizerUri: z.string().optional(),
  AuthorizerPayloadFormatVersion: z.string().optional(),
  IdentitySource: Strings,
  AuthorizerResultTtlInSeconds: z.number().default(300),
  EnableSimpleResponses: z.boolean().default(false),
})

/** The integration timeouts when the template gives none: 30 s for HTTP APIs, 29 s for WebSocket APIs. */
const DEFAULT_TIMEOUT_MS = { HTTP: 30_000, WEBSOCKET: 29_000 } as const

/**
 * Reads the API of a protocol from the assembly; with several, `apiId` says which. Throws for what the local gateway does
 * not have: other integrations than Lambda proxies, and other authorizers than Lambda functions.
 */
export function templateApi(assembly: CloudAssembly, protocol: 'HTTP' | 'WEBSOCKET', apiId?: string): TemplateApi {
  const apis = assembly
    .ofType('AWS::ApiGatewayV2::Api')
    .filter(({ ref, properties }) => properties.ProtocolType === protocol && (apiId === undefined || ref === apiId))
  const [api] = apis
  if (!api || apis.length > 1)
    throw new Error(`The assembly has ${apis.length} ${protocol} APIs${apiId ? ` with the id ${apiId}` : ''}, not one`)
  const properties = ApiProperties.parse(api.properties)
  const cors = properties.CorsConfiguration
  const belongsToApi = (resource: Resource) => resource.properties.ApiId === api.ref
  return {
    apiId: api.ref,
    name: properties.Name,
    routeSelectionExpression: properties.RouteSelectionExpression,
    cors: cors && {
      allowOrigins: cors.AllowOrigins,
      allowMethods: cors.AllowMethods,
      allowHeaders: cors.AllowHeaders,
      exposeHeaders: cors.ExposeHeaders,
      maxAge: cors.MaxAge,
      allowCredentials: cors.AllowCredentials,
    },
    stages: assembly.ofType('AWS::ApiGatewayV2::Stage').filter(belongsToApi).map(stageOf),
    routes: assembly
      .ofType('AWS::ApiGatewayV2::Route')
      .filter(belongsToApi)
      .map((route) => routeOf(assembly, route, protocol)),
  }
}

/** The function's ARN in an integration's or authorizer's URI, which may be the ARN itself. */
export function functionArnOf(uri: string): string {
  const arn = /functions\/(arn:[^/]+)\/invocations$/.exec(uri)?.[1] ?? uri
  if (!arn.startsWith('arn:aws:lambda:')) throw new Error(`${uri} is not the URI of a Lambda function`)
  return arn
}

function stageOf({ properties }: Resource): ApiStage {
  const { StageName, StageVariables, DefaultRouteSettings, RouteSettings } = StageProperties.parse(properties)
  const throttled = Object.entries(RouteSettings).flatMap(([routeKey, settings]) => {
    const throttling = throttlingOf(settings)
    return throttling ? [[routeKey, throttling] as const] : []
  })
  return {
    name: StageName,
    variables: StageVariables,
    defaultThrottling: throttlingOf(DefaultRouteSettings),
    routeThrottling: new Map(throttled),
  }
}

function throttlingOf(settings: z.infer<typeof Settings> | undefined): Throttling | undefined {
  if (settings?.ThrottlingRateLimit === undefined && settings?.ThrottlingBurstLimit === undefined) return undefined
  const { ThrottlingRateLimit: rateLimit = 10_000, ThrottlingBurstLimit: burstLimit = 5_000 } = settings
  return { rateLimit, burstLimit }
}

function routeOf(assembly: CloudAssembly, route: Resource, protocol: 'HTTP' | 'WEBSOCKET'): ApiRoute {
  const { RouteKey, Target, AuthorizationType, AuthorizerId } = RouteProperties.parse(route.properties)
  const place = `The route ${RouteKey} (${route.constructPath ?? route.logicalId})`
  if (/[^\s]\/$/.test(RouteKey)) throw new Error(`${place} ends in a slash, which API Gateway does not accept`)
  const integrationId = Target?.replace(/^integrations\//, '') ?? ''
  const integration = assembly.ofType('AWS::ApiGatewayV2::Integration').find(({ ref }) => ref === integrationId)
  if (!integration) throw new Error(`${place} has no integration`)
  const { IntegrationType, IntegrationUri, TimeoutInMillis } = IntegrationProperties.parse(integration.properties)
  if (IntegrationType !== 'AWS_PROXY')
    throw new Error(`${place} has an integration of type ${IntegrationType}; the local gateway has AWS_PROXY only`)
  if (AuthorizationType !== 'NONE' && AuthorizationType !== 'CUSTOM')
    throw new Error(`${place} is authorized by ${AuthorizationType}; the local gateway has Lambda authorizers only`)
  return {
    routeKey: RouteKey,
    integration: {
      functionArn: functionArnOf(IntegrationUri),
      timeoutMs: TimeoutInMillis ?? DEFAULT_TIMEOUT_MS[protocol],
    },
    authorizer: AuthorizationType === 'CUSTOM' ? authorizerOf(assembly, AuthorizerId, place, protocol) : undefined,
  }
}

function authorizerOf(
  assembly: CloudAssembly,
  id: string | undefined,
  place: string,
  protocol: 'HTTP' | 'WEBSOCKET',
): LambdaAuthorizer {
  const authorizer = assembly.ofType('AWS::ApiGatewayV2::Authorizer').find(({ ref }) => ref === id)
  if (!authorizer) throw new Error(`${place} has no authorizer`)
  const properties = AuthorizerProperties.parse(authorizer.properties)
  const { AuthorizerPayloadFormatVersion: version, AuthorizerUri } = properties
  // Only HTTP APIs have payload formats.
  if (
    properties.AuthorizerType !== 'REQUEST' ||
    AuthorizerUri === undefined ||
    (protocol === 'HTTP' && version !== '2.0')
  )
    throw new Error(`${place} has an authorizer other than a Lambda function with payload format 2.0`)
  return {
    id: authorizer.ref,
    functionArn: functionArnOf(AuthorizerUri),
    identitySource: properties.IdentitySource,
    resultTtlSeconds: properties.AuthorizerResultTtlInSeconds,
    simpleResponses: properties.EnableSimpleResponses,
  }
}
