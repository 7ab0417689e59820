import * as z from 'zod'
import type { CloudAssembly, Resource } from '../assembly/cloud-assembly.ts'
import { type EdgeFunction, loadEdgeFunction } from './edge-function.ts'
import { pathMatcher } from './path-pattern.ts'
import { ResponseHeadersPolicySchema, securityHeaders } from './security-headers.ts'

/** Where a request can go. */
export interface Origin {
  readonly id: string
  readonly kind: 'http-api' | 'web-socket-api' | 'bucket'
  /** What the origin is called in the `Host` of requests to it. */
  readonly domainName: string
  /** Stands before every path; empty without one. */
  readonly path: string
}

/** What is done with the requests of one path pattern. */
export interface Behavior {
  readonly pattern: string
  /** Takes a normalized path. */
  matches(normalized: string): boolean
  readonly methods: ReadonlySet<string>
  readonly origin: Origin
  readonly viewerRequest: EdgeFunction | undefined
  /** Whether the query, the cookies and all headers but `Host` reach the origin; otherwise none of them does. */
  readonly forwardsViewer: boolean
  /** Set on every answer. */
  readonly responseHeaders: Readonly<Record<string, string>>
}

/** The assembly's CloudFront distribution. */
export interface Distribution {
  readonly id: string
  readonly domainName: string
  /** In the order in which they are tried; the last one takes everything. */
  readonly behaviors: readonly Behavior[]
  readonly origins: ReadonlyMap<string, Origin>
  readonly defaultRootObject: string | undefined
}

/** The managed policies that are known here, by their ids ("Use managed cache policies", "Use managed origin request policies"). */
const CachePolicyId = z.enum({
  CachingDisabled: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
  CachingOptimized: '658327ea-f89d-4fab-a63d-7e88639e58f6',
})
const OriginRequestPolicyId = z.enum({ AllViewerExceptHostHeader: 'b689b0a8-53d0-40ab-baf2-68738e2966ac' })

/** Strict throughout: a setting that is not imitated fails the start instead of being left out in silence. */
const BehaviorSchema = z.strictObject({
  TargetOriginId: z.string(),
  ViewerProtocolPolicy: z.enum(['https-only', 'redirect-to-https', 'allow-all']),
  AllowedMethods: z.array(z.string()).default(['GET', 'HEAD']),
  CachePolicyId,
  OriginRequestPolicyId: OriginRequestPolicyId.optional(),
  ResponseHeadersPolicyId: z.string().optional(),
  Compress: z.boolean(),
  FunctionAssociations: z
    .array(z.strictObject({ EventType: z.literal('viewer-request'), FunctionARN: z.string() }))
    .max(1)
    .default([]),
})

const OriginSchema = z.strictObject({
  Id: z.string(),
  DomainName: z.string(),
  OriginPath: z.string().default(''),
  OriginAccessControlId: z.string().optional(),
  S3OriginConfig: z.object({}).optional(),
  CustomOriginConfig: z.object({}).optional(),
})

const DistributionSchema = z.object({
  DistributionConfig: z.strictObject({
    Enabled: z.literal(true),
    Comment: z.string().optional(),
    Aliases: z.array(z.string()).optional(),
    HttpVersion: z.string(),
    IPV6Enabled: z.boolean(),
    PriceClass: z.string().optional(),
    ViewerCertificate: z.object({}).optional(),
    DefaultRootObject: z.string().optional(),
    Origins: z.array(OriginSchema),
    DefaultCacheBehavior: BehaviorSchema,
    CacheBehaviors: z.array(BehaviorSchema.extend({ PathPattern: z.string() })).default([]),
  }),
})

const FunctionSchema = z.object({
  FunctionCode: z.string(),
  FunctionConfig: z.object({ Runtime: z.literal('cloudfront-js-2.0') }),
})

/**
 * Reads the one distribution of an assembly, with its functions loaded and its origins found among the assembly's own resources.
 *
 * @throws when there is not exactly one, or it has something that the local edge does not imitate, naming it.
 */
export function distributionOf(assembly: CloudAssembly): Distribution {
  const [resource, another] = assembly.ofType('AWS::CloudFront::Distribution')
  if (!resource || another) throw new Error('The local edge needs an assembly with exactly one distribution')
  const config = parsed(DistributionSchema, resource).DistributionConfig
  const origins = new Map(config.Origins.map((origin) => [origin.Id, originOf(assembly, origin)]))
  const behaviorOf = (pattern: string, behavior: z.output<typeof BehaviorSchema>): Behavior => {
    const origin = origins.get(behavior.TargetOriginId)
    if (!origin) throw new Error(`${pattern}: there is no origin ${behavior.TargetOriginId}`)
    const [association] = behavior.FunctionAssociations
    return {
      pattern,
      matches: pathMatcher(pattern),
      methods: new Set(behavior.AllowedMethods),
      origin,
      viewerRequest: association && functionOf(assembly, association.FunctionARN, new Set(origins.keys())),
      forwardsViewer: behavior.OriginRequestPolicyId !== undefined,
      responseHeaders: responseHeadersOf(assembly, behavior.ResponseHeadersPolicyId),
    }
  }
  return {
    id: resource.ref,
    domainName: resource.attribute('DomainName'),
    behaviors: [
      ...config.CacheBehaviors.map(({ PathPattern, ...behavior }) => behaviorOf(PathPattern, behavior)),
      behaviorOf('*', config.DefaultCacheBehavior),
    ],
    origins,
    defaultRootObject: config.DefaultRootObject,
  }
}

function originOf(assembly: CloudAssembly, { Id, DomainName, OriginPath }: z.output<typeof OriginSchema>): Origin {
  const origin = { id: Id, domainName: DomainName, path: OriginPath }
  const isBucket = (bucket: Resource) => bucket.attribute('RegionalDomainName') === DomainName
  if (assembly.ofType('AWS::S3::Bucket').some(isBucket)) return { ...origin, kind: 'bucket' }
  const [, apiId] = /^([a-z0-9]+)\.execute-api\./.exec(DomainName) ?? []
  const api = assembly.ofType('AWS::ApiGatewayV2::Api').find(({ ref }) => ref === apiId)
  if (!api) throw new Error(`The origin ${Id} (${DomainName}) is neither an API nor a bucket of this assembly`)
  return { ...origin, kind: api.properties.ProtocolType === 'WEBSOCKET' ? 'web-socket-api' : 'http-api' }
}

function functionOf(assembly: CloudAssembly, arn: string, originIds: ReadonlySet<string>): EdgeFunction {
  const isMeant = (resource: Resource) => resource.attribute('FunctionARN') === arn
  const resource = assembly.ofType('AWS::CloudFront::Function').find(isMeant)
  if (!resource) throw new Error(`The assembly has no edge function ${arn}`)
  return loadEdgeFunction(resource.logicalId, parsed(FunctionSchema, resource).FunctionCode, originIds)
}

function responseHeadersOf(assembly: CloudAssembly, policyId: string | undefined): Readonly<Record<string, string>> {
  if (policyId === undefined) return {}
  const resource = assembly.find(policyId)
  if (!resource) throw new Error(`The assembly has no response headers policy ${policyId}`)
  return securityHeaders(parsed(ResponseHeadersPolicySchema, resource))
}

function parsed<T>(schema: z.ZodType<T>, { stack, logicalId, properties }: Resource): T {
  const result = schema.safeParse(properties)
  if (result.success) return result.data
  throw new Error(`${stack}.${logicalId} has what the local edge does not imitate:\n${z.prettifyError(result.error)}`)
}
