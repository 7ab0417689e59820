import { describe, expect, it } from 'vitest'
import { GATEWAY_LIMITS } from '../../container-images/preview-gateway/src/limits.ts'
import { takeSettings } from '../../container-images/preview-gateway/src/settings.ts'
import { capabilityEnv } from '../../shared/contracts/functions.ts'
import { lambdaOf, type Statement, statementsOf } from './support/roles.ts'
import { synthesized } from './support/synthesized.ts'

const DOMAIN = 'preview.example.net'
const app = synthesized('production', {
  previewDomain: DOMAIN,
  previewHostedZoneId: 'Z0123456789',
  appDomain: 'app.example.com',
  certificateArn: 'arn:aws:acm:us-east-1:111122223333:certificate/app',
})
const local = synthesized('local')

const only = (type: string, { ofType } = app) => {
  const [found, another] = ofType(type).filter(({ stack }) => stack === 'previews')
  if (found === undefined || another !== undefined) throw new Error(`Not one ${type} in the stack of previews`)
  return found
}
const definition = only('AWS::ECS::TaskDefinition')
const container = definition.Properties.ContainerDefinitions[0]
const service = only('AWS::ECS::Service')
const variables: Record<string, unknown> = Object.fromEntries(
  container.Environment.map(({ Name, Value }: { Name: string; Value: unknown }) => [Name, Value]),
)

describe('without a preview domain', () => {
  const without = synthesized('production')

  it('there is neither gateway nor balancer, and functions know of no address', () => {
    expect(without.templates.previews).toBeUndefined()
    expect(without.ofType('AWS::ECS::Service')).toEqual([])
    const { Variables } = lambdaOf(without, 'production', 'create-preview').Properties.Environment
    expect(Variables.PREVIEW_SECRET_ID).toBeDefined()
    expect(Variables.PREVIEW_ORIGIN_PATTERN).toBeUndefined()
  })
})

describe('addresses of previews', () => {
  it.each([
    ['production', app, `https://{label}.${DOMAIN}`],
    ['local', local, 'http://{label}.preview.localhost'],
  ] as const)('%s', (stage, synthesis, expected) => {
    const { PREVIEW_ORIGIN_PATTERN } = lambdaOf(synthesis, stage, 'create-preview').Properties.Environment.Variables
    expect(PREVIEW_ORIGIN_PATTERN).toBe(expected)
    expect(
      capabilityEnv.previewLinks.parse({ PREVIEW_ORIGIN_PATTERN, PREVIEW_SECRET_ID: 's' }).PREVIEW_ORIGIN_PATTERN,
    ).toBe(expected)
  })
})

describe('gateway', () => {
  it('runs twice, is replaced without a gap, and a version that does not start is taken back', () => {
    expect(service.Properties).toMatchObject({
      DesiredCount: 2,
      LaunchType: 'FARGATE',
      DeploymentConfiguration: {
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      },
    })
  })

  it("is not in the cluster of the teams' tasks", () => {
    const cluster = only('AWS::ECS::Cluster')
    expect(service.Properties.Cluster).toEqual({ Ref: cluster.logicalId })
    expect(app.ofType('AWS::ECS::Cluster').filter(({ stack }) => stack === 'compute')).toHaveLength(1)
  })

  it('gets what its program asks for', () => {
    const strings = Object.entries(variables).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : name === 'WORK_QUEUE_URL' ? 'https://sqs.example/queue' : 'a-reference',
    ])
    const settings = takeSettings({ ...Object.fromEntries(strings), PREVIEW_SECRET: 'x'.repeat(64) })
    expect(settings).toMatchObject({
      PREVIEW_DOMAIN: DOMAIN,
      PREVIEW_SCHEME: 'https',
      APP_ORIGIN: ['https://app.example.com'],
      PORT: 8080,
      HEALTH_PORT: 8081,
      BEHIND_LOAD_BALANCER: true,
    })
    expect(container.Secrets.map(({ Name }: { Name: string }) => Name)).toEqual(['PREVIEW_SECRET'])
  })

  it('runs without privileges on a read-only root, and with files for all connections it takes', () => {
    expect(container).toMatchObject({
      User: '1000:1000',
      ReadonlyRootFilesystem: true,
      LinuxParameters: { Capabilities: { Drop: ['ALL'] } },
    })
    const [{ Name, SoftLimit }] = container.Ulimits
    expect(Name).toBe('nofile')
    // One to each visitor, those to tasks that carry requests or are kept, and one to a task for each WebSocket.
    const { maxConnections, taskConnections } = GATEWAY_LIMITS
    expect(SoftLimit).toBeGreaterThan(2 * maxConnections + taskConnections)
  })

  it('has the time that it takes to end', () => {
    const takes = GATEWAY_LIMITS.lameDuckMs + GATEWAY_LIMITS.drainMs
    expect(container.StopTimeout * 1000).toBeGreaterThan(takes)
  })

  it('reads what a label says, uses tickets up, writes visits and asks for wake-ups: nothing else', () => {
    const roleId = definition.Properties.TaskRoleArn['Fn::GetAtt'][0]
    const statements = statementsOf(app, 'previews', roleId)
    const table = { 'Fn::ImportValue': expect.stringContaining('Previews') }
    const keys = (pattern: string) => ({ 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [pattern] } })
    expect(statements).toEqual<Statement[]>([
      { Effect: 'Allow', Action: 'dynamodb:GetItem', Resource: table, Condition: keys('LABEL#*') },
      { Effect: 'Allow', Action: 'dynamodb:PutItem', Resource: table, Condition: keys('TICKET#*') },
      {
        Effect: 'Allow',
        Action: 'dynamodb:UpdateItem',
        Resource: table,
        Condition: {
          ...keys('LABEL#*'),
          'ForAllValues:StringEquals': { 'dynamodb:Attributes': ['pk', 'lastVisitAt'] },
          StringEqualsIfExists: { 'dynamodb:ReturnValues': ['NONE', 'UPDATED_OLD', 'UPDATED_NEW'] },
        },
      },
      {
        Effect: 'Allow',
        Action: 'sqs:SendMessage',
        Resource: { 'Fn::ImportValue': expect.stringContaining('Work') },
      },
    ])
  })

  it("runs in the security group that may reach previews' ports, and takes only the balancer's calls", () => {
    const groups = service.Properties.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups
    expect(JSON.stringify(groups)).toContain('GatewaySecurityGroup')
    const balancer = only('AWS::EC2::SecurityGroup')
    const ingress = app.ofType('AWS::EC2::SecurityGroupIngress').filter(({ stack }) => stack === 'previews')
    expect(ingress.map(({ Properties }) => Properties.FromPort).sort()).toEqual([8080, 8081])
    for (const { Properties } of ingress) {
      expect(Properties.GroupId).toEqual(groups[0])
      expect(Properties.ToPort).toBe(Properties.FromPort)
      expect(Properties.SourceSecurityGroupId).toEqual({ 'Fn::GetAtt': [balancer.logicalId, 'GroupId'] })
    }
  })

  it('is in private subnets where there are some, the balancer in public ones', () => {
    const behindNat = synthesized('production', { previewDomain: DOMAIN, previewHostedZoneId: 'Z0', natGateways: 1 })
    const { AssignPublicIp, Subnets } = only('AWS::ECS::Service', behindNat).Properties.NetworkConfiguration
      .AwsvpcConfiguration
    expect(AssignPublicIp).toBe('DISABLED')
    expect(JSON.stringify(Subnets)).toContain('VpcTasksSubnet')
    const balancer = only('AWS::ElasticLoadBalancingV2::LoadBalancer', behindNat)
    expect(JSON.stringify(balancer.Properties.Subnets)).toContain('VpcPublicSubnet')
    expect(JSON.stringify(balancer.Properties.Subnets)).not.toContain('VpcTasksSubnet')
  })
})

describe('load balancer', () => {
  const balancer = only('AWS::ElasticLoadBalancingV2::LoadBalancer')
  const attributes: Record<string, string> = Object.fromEntries(
    balancer.Properties.LoadBalancerAttributes.map(({ Key, Value }: Record<string, string>) => [Key, Value]),
  )
  const listeners = app.ofType('AWS::ElasticLoadBalancingV2::Listener').map(({ Properties }) => Properties)

  it('keeps no access log: paths hold tickets', () => {
    expect(attributes['access_logs.s3.enabled'] ?? 'false').toBe('false')
    expect(attributes['connection_logs.s3.enabled'] ?? 'false').toBe('false')
  })

  it('cuts silent connections after the gateway has, and idle ones before the gateway does', () => {
    const idleMs = Number(attributes['idle_timeout.timeout_seconds']) * 1000
    const { answerMs, bodyMs, silenceMs, keepAliveMs } = GATEWAY_LIMITS
    for (const silence of [answerMs, bodyMs, silenceMs]) expect(idleMs).toBeGreaterThan(silence)
    expect(idleMs).toBeLessThan(keepAliveMs)
    // What the balancer takes (ELB API, LoadBalancerAttribute).
    expect(idleMs).toBeLessThanOrEqual(4_000_000)
  })

  it('passes the host on as the browser sent it', () => {
    expect(attributes['routing.http.preserve_host_header.enabled']).toBe('true')
  })

  it('speaks TLS, and sends who does not to where it is spoken', () => {
    expect(listeners).toHaveLength(2)
    expect(listeners.find(({ Port }) => Port === 80)?.DefaultActions).toEqual([
      { Type: 'redirect', RedirectConfig: { Protocol: 'HTTPS', Port: '443', StatusCode: 'HTTP_301' } },
    ])
    expect(listeners.find(({ Port }) => Port === 443)).toMatchObject({
      Protocol: 'HTTPS',
      SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
      DefaultActions: [{ Type: 'forward' }],
    })
  })

  it("takes out a gateway whose health is bad or that ends, by the gateway's own word", () => {
    expect(only('AWS::ElasticLoadBalancingV2::TargetGroup').Properties).toMatchObject({
      Port: 8080,
      Protocol: 'HTTP',
      TargetType: 'ip',
      HealthCheckPort: '8081',
      HealthCheckPath: '/health',
    })
  })

  it('has a wildcard record and a certificate that the zone proves', () => {
    expect(only('AWS::Route53::RecordSet').Properties).toMatchObject({ Name: `*.${DOMAIN}.`, Type: 'A' })
    expect(only('AWS::CertificateManager::Certificate').Properties).toMatchObject({
      DomainName: `*.${DOMAIN}`,
      ValidationMethod: 'DNS',
      DomainValidationOptions: [{ DomainName: `*.${DOMAIN}`, HostedZoneId: 'Z0123456789' }],
    })
  })

  it('uses a certificate that is given, and leaves DNS alone without a zone', () => {
    const arn = 'arn:aws:acm:eu-central-1:111122223333:certificate/preview'
    const given = synthesized('production', { previewDomain: DOMAIN, previewCertificateArn: arn })
    expect(given.ofType('AWS::CertificateManager::Certificate')).toEqual([])
    expect(given.ofType('AWS::Route53::RecordSet')).toEqual([])
    given.templates.previews?.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Certificates: [{ CertificateArn: arn }],
    })
  })
})
