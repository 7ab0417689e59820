import { describe, expect, it } from 'vitest'
import { type Route, routes } from '../../shared/contracts/routes.ts'
import { synthesized } from './support/synthesized.ts'

const domain = { appDomain: 'app.example.com', certificateArn: 'arn:aws:acm:us-east-1:111122223333:certificate/abc' }
const app = synthesized('production', domain)
const { edge } = app.templates
const [distribution, another] = app.ofType('AWS::CloudFront::Distribution')
const config = distribution?.Properties.DistributionConfig
/** An output's value with its references in words. */
const outputs = Object.fromEntries(
  Object.entries(edge.toJSON().Outputs as Record<string, { Value: unknown }>).map(([id, { Value }]) => [id, Value]),
)
/** CloudFront's ids of its managed policies. */
const CACHING_DISABLED = '4135ea2d-6df8-44a3-9df3-4b5a84be39ad'
const CACHING_OPTIMIZED = '658327ea-f89d-4fab-a63d-7e88639e58f6'
const ALL_VIEWER_EXCEPT_HOST = 'b689b0a8-53d0-40ab-baf2-68738e2966ac'

function functionOf(behavior: {
  FunctionAssociations?: { EventType: string; FunctionARN: { 'Fn::GetAtt': string[] } }[]
}) {
  const [association, second] = behavior.FunctionAssociations ?? []
  expect(second).toBeUndefined()
  expect(association?.EventType).toBe('viewer-request')
  const logicalId = association?.FunctionARN['Fn::GetAtt'][0]
  return app.ofType('AWS::CloudFront::Function').find((found) => found.logicalId === logicalId)?.Properties
}

describe('distribution', () => {
  it('is one, for all that the browser asks', () => {
    expect(another).toBeUndefined()
    expect(config.CacheBehaviors.map((behavior: { PathPattern: string }) => behavior.PathPattern)).toEqual([
      '/api/*',
      '/socket.io',
      '/socket.io/*',
    ])
  })

  it('hands everything to the APIs: every method, uncached, all of the request but Host', () => {
    for (const behavior of config.CacheBehaviors) {
      expect(behavior).toMatchObject({
        CachePolicyId: CACHING_DISABLED,
        OriginRequestPolicyId: ALL_VIEWER_EXCEPT_HOST,
        ViewerProtocolPolicy: 'https-only',
      })
      expect([...behavior.AllowedMethods].sort()).toEqual(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'])
      expect(behavior).not.toHaveProperty('ResponseHeadersPolicyId')
    }
  })

  it('sends /api to the HTTP API without a function', () => {
    const [api] = config.CacheBehaviors
    expect(api.TargetOriginId).toBe('http-api')
    expect(api).not.toHaveProperty('FunctionAssociations')
  })

  it("has no way to routes that are not the browser's: what is signed is asked of the HTTP API itself", () => {
    const patterns: readonly string[] = config.CacheBehaviors.map(
      (behavior: { PathPattern: string }) => behavior.PathPattern,
    )
    const reaches = (path: string) =>
      patterns.some((pattern) => (pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern))
    const signed = Object.values<Route>(routes).filter(({ auth }) => auth === 'signature')
    expect(signed.map(({ path }) => path)).not.toEqual([])
    expect(signed.filter(({ path }) => reaches(path) || !path.startsWith('/internal/'))).toEqual([])
    expect(reaches('/api/agents')).toBe(true)
    expect(config.DefaultCacheBehavior.TargetOriginId).toBe('frontend')
  })

  it('has upgrades go to the WebSocket API by the behaviour, polls to the HTTP API by the function', () => {
    for (const behavior of config.CacheBehaviors.slice(1)) {
      expect(behavior.TargetOriginId).toBe('web-socket-api')
      const { FunctionCode, FunctionConfig } = functionOf(behavior) ?? {}
      expect(FunctionConfig.Runtime).toBe('cloudfront-js-2.0')
      expect(FunctionCode).toContain("request.uri = '/live'")
      expect(FunctionCode).toContain("cf.selectRequestOriginById('http-api')")
      expect(FunctionCode).not.toContain('{{')
    }
    const stage = app.ofType('AWS::ApiGatewayV2::Stage').find((found) => found.stack === 'realtime')
    expect(stage?.Properties.StageName).toBe('live')
  })

  it('answers paths that are no files by a function on the default behaviour and never by an error page', () => {
    expect(config).not.toHaveProperty('CustomErrorResponses')
    expect(config.DefaultRootObject).toBe('index.html')
    const behavior = config.DefaultCacheBehavior
    expect(behavior).toMatchObject({
      TargetOriginId: 'frontend',
      AllowedMethods: ['GET', 'HEAD'],
      CachePolicyId: CACHING_OPTIMIZED,
      Compress: true,
      ViewerProtocolPolicy: 'redirect-to-https',
    })
    // A query would reach S3, where some parameters list the bucket or change its answer's headers.
    expect(behavior).not.toHaveProperty('OriginRequestPolicyId')
    expect(functionOf(behavior)?.FunctionCode).toContain("request.uri = '/index.html'")
  })

  it('waits longer for an API than an API for its functions', () => {
    const apis = config.Origins.filter(({ Id }: { Id: string }) => Id !== 'frontend')
    expect(apis.map(({ Id }: { Id: string }) => Id).sort()).toEqual(['http-api', 'web-socket-api'])
    for (const { CustomOriginConfig, OriginPath, DomainName } of apis) {
      expect(CustomOriginConfig).toMatchObject({ OriginProtocolPolicy: 'https-only', OriginSSLProtocols: ['TLSv1.2'] })
      // An HTTP API answers 503 after 30 s; CloudFront asks again after its own timeout, which a held poll would not survive.
      expect(CustomOriginConfig.OriginReadTimeout).toBeGreaterThan(30)
      expect(CustomOriginConfig.OriginReadTimeout).toBeLessThanOrEqual(120)
      // The function writes the whole path.
      expect(OriginPath).toBeUndefined()
      expect(JSON.stringify(DomainName)).toContain('.execute-api.')
    }
  })

  it('speaks HTTP/2 and 3, and no TLS below 1.2', () => {
    expect(config.HttpVersion).toBe('http2and3')
    expect(config.ViewerCertificate).toMatchObject({
      AcmCertificateArn: domain.certificateArn,
      MinimumProtocolVersion: 'TLSv1.2_2021',
      SslSupportMethod: 'sni-only',
    })
    expect(config.Aliases).toEqual([domain.appDomain])
  })

  it('tells its id, domain and URL', () => {
    expect(outputs).toEqual({
      AppUrl: 'https://app.example.com',
      DistributionId: { Ref: distribution?.logicalId },
      DistributionDomain: { 'Fn::GetAtt': [distribution?.logicalId, 'DomainName'] },
      FrontendBucket: { Ref: expect.stringContaining('Frontend') },
    })
  })

  it("uses CloudFront's own domain without one", () => {
    const own = synthesized('dev').ofType('AWS::CloudFront::Distribution')[0]?.Properties.DistributionConfig
    expect(own).not.toHaveProperty('Aliases')
    expect(own).not.toHaveProperty('ViewerCertificate')
  })
})

describe("the frontend's bucket", () => {
  const [bucket] = app.ofType('AWS::S3::Bucket')
  const [policy] = app.ofType('AWS::S3::BucketPolicy')

  it('is private, encrypted and kept', () => {
    expect(bucket).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' })
    expect(bucket?.Properties).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
    })
  })

  it('is read by this distribution alone, over TLS', () => {
    const statements = policy?.Properties.PolicyDocument.Statement
    const allowed = statements.filter(({ Effect }: { Effect: string }) => Effect === 'Allow')
    expect(allowed).toHaveLength(1)
    expect(allowed[0]).toMatchObject({
      Action: ['s3:GetObject', 's3:ListBucket'],
      Principal: { Service: 'cloudfront.amazonaws.com' },
    })
    expect(JSON.stringify(allowed[0].Condition.StringEquals['AWS:SourceArn'])).toContain(
      `"Ref":"${distribution?.logicalId}"`,
    )
    expect(statements).toContainEqual(
      expect.objectContaining({
        Effect: 'Deny',
        Action: 's3:*',
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      }),
    )
    const origin = config.Origins.find(({ Id }: { Id: string }) => Id === 'frontend')
    expect(origin.OriginAccessControlId).toBeDefined()
  })
})
