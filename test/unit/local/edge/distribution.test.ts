import { describe, expect, it } from 'vitest'
import type { CloudAssembly, Resource } from '../../../../local/assembly/cloud-assembly.ts'
import { distributionOf } from '../../../../local/edge/distribution.ts'
import { controlPlaneAssembly } from './door.ts'

const assembly = controlPlaneAssembly()
const [distribution] = assembly.ofType('AWS::CloudFront::Distribution') as [Resource]
type Config = Record<string, unknown> & {
  DefaultCacheBehavior: Record<string, unknown>
  CacheBehaviors: Record<string, unknown>[]
  Origins: Record<string, unknown>[]
}

/** The control plane's assembly with another configuration of its distribution. */
function withConfig(change: (config: Config) => void): CloudAssembly {
  const config = structuredClone(distribution.properties.DistributionConfig) as Config
  change(config)
  const changed: Resource = {
    ...distribution,
    attribute: distribution.attribute,
    properties: { DistributionConfig: config },
  }
  return {
    ...assembly,
    find: (refOrArn) => assembly.find(refOrArn),
    ofType: (type) => (type === distribution.type ? [changed] : assembly.ofType(type)),
  }
}

describe('distributionOf', () => {
  it("reads the control plane's", () => {
    const { behaviors, origins } = distributionOf(assembly)
    expect(
      behaviors.map(({ pattern, origin, viewerRequest }) => [pattern, origin.kind, viewerRequest !== undefined]),
    ).toEqual([
      ['/api/*', 'http-api', false],
      ['/socket.io', 'web-socket-api', true],
      ['/socket.io/*', 'web-socket-api', true],
      ['*', 'bucket', true],
    ])
    expect([...origins.keys()].sort()).toEqual(['frontend', 'http-api', 'web-socket-api'])
  })

  it('reads one that is as it was', () => {
    expect(distributionOf(withConfig(() => undefined)).behaviors).toHaveLength(4)
  })

  it.each<[string, (config: Config) => void, RegExp]>([
    [
      'an error page',
      (config) => Object.assign(config, { CustomErrorResponses: [{ ErrorCode: 404 }] }),
      /CustomErrorResponses/,
    ],
    ['a web ACL', (config) => Object.assign(config, { WebACLId: 'x' }), /WebACLId/],
    [
      'a cache policy of its own',
      (config) => Object.assign(config.DefaultCacheBehavior, { CachePolicyId: 'x' }),
      /CachePolicyId/,
    ],
    [
      'Lambda@Edge',
      (config) => Object.assign(config.DefaultCacheBehavior, { LambdaFunctionAssociations: [] }),
      /LambdaFunctionAssociations/,
    ],
    [
      'a viewer-response function',
      (config) =>
        Object.assign(config.DefaultCacheBehavior, {
          FunctionAssociations: [{ EventType: 'viewer-response', FunctionARN: 'x' }],
        }),
      /EventType/,
    ],
    [
      'a function of nobody',
      (config) =>
        Object.assign(config.DefaultCacheBehavior, {
          FunctionAssociations: [{ EventType: 'viewer-request', FunctionARN: 'x' }],
        }),
      /no edge function x/,
    ],
    [
      'an origin of somebody else',
      (config) => Object.assign(config.Origins[0] ?? {}, { DomainName: 'elsewhere.example' }),
      /elsewhere\.example\) is neither an API nor a bucket of this assembly/,
    ],
    [
      'a behaviour without an origin',
      (config) => Object.assign(config.CacheBehaviors[0] ?? {}, { TargetOriginId: 'x' }),
      /\/api\/\*: there is no origin x/,
    ],
    [
      'headers of nobody',
      (config) => Object.assign(config.DefaultCacheBehavior, { ResponseHeadersPolicyId: 'x' }),
      /no response headers policy x/,
    ],
  ])('does not start with %s', (_, change, reason) => {
    expect(() => distributionOf(withConfig(change))).toThrow(reason)
  })

  it('needs exactly one', () => {
    const none = { ...assembly, ofType: () => [] } as CloudAssembly
    const two = { ...assembly, ofType: () => [distribution, distribution] } as CloudAssembly
    for (const wrong of [none, two]) expect(() => distributionOf(wrong)).toThrow('exactly one distribution')
  })
})
