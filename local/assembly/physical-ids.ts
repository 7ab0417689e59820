import { createHash } from 'node:crypto'
import { ACCOUNT_ID, arn, REGION, URL_SUFFIX } from './account.ts'

/** What a resource's `Ref` and attributes are made from. `property` resolves one of its own string properties. `deployment` counts from 1. */
export interface Identity {
  readonly stack: string
  readonly logicalId: string
  readonly type: string
  readonly deployment: number
  property(name: string): string | undefined
}

interface TypeRules {
  /** The value of `Ref`. */
  readonly ref: (id: Identity) => string
  /** The values of `Fn::GetAtt`, by attribute. */
  readonly attributes: Readonly<Record<string, (id: Identity) => string>>
}

/** A stable lower-case id of `length` characters, the same for the same stack and logical id. */
function stableId(id: Identity, length: number, alphabet: 'hex' | 'base36' = 'hex'): string {
  const hex = createHash('sha256').update(`${id.stack}/${id.logicalId}`).digest('hex')
  return (alphabet === 'hex' ? hex : BigInt(`0x${hex}`).toString(36)).slice(0, length)
}

/** CloudFormation's own form of a generated name, without its random part. `max` is the service's limit. */
function generatedName(id: Identity, max: number): string {
  const name = `${id.stack}-${id.logicalId}`
  return name.length <= max ? name : `${name.slice(0, max - 9)}-${stableId(id, 8)}`
}

const named =
  (property: string, max: number) =>
  (id: Identity): string =>
    id.property(property) ?? generatedName(id, max)

const byName = (property: string, max: number, service: string, prefix = '', region?: string): TypeRules => {
  const name = named(property, max)
  return { ref: name, attributes: { Arn: (id) => arn(service, `${prefix}${name(id)}`, region) } }
}

const prefixedId = (prefix: string, attributes: TypeRules['attributes'] = {}): TypeRules => {
  const ref = (id: Identity) => `${prefix}${stableId(id, 17)}`
  return { ref, attributes: { Id: ref, ...attributes } }
}

const apiId: TypeRules['ref'] = (id) => stableId(id, 10, 'base36')
const shortId: TypeRules = { ref: (id) => stableId(id, 7, 'base36'), attributes: {} }

const tableName = named('TableName', 255)
const table: TypeRules = {
  ref: tableName,
  attributes: {
    Arn: (id) => arn('dynamodb', `table/${tableName(id)}`),
    StreamArn: (id) => arn('dynamodb', `table/${tableName(id)}/stream/2020-01-01T00:00:00.000`),
    TableId: (id) => stableId(id, 32),
  },
}
const queueName = named('QueueName', 80)
const fileSystemId = (id: Identity) => `fs-${stableId(id, 17)}`
const accessPointId = (id: Identity) => `fsap-${stableId(id, 17)}`
const functionArn = (name: string) => (name.startsWith('arn:') ? name : arn('lambda', `function:${name}`))
/** It cannot be changed: each deployment has a revision of its own. */
const taskDefinitionArn = (id: Identity) => arn('ecs', `task-definition/${named('Family', 255)(id)}:${id.deployment}`)
const distributionId = (id: Identity) => `E${stableId(id, 13, 'base36').toUpperCase()}`
const clusterName = named('ClusterName', 255)
const serviceName = named('ServiceName', 255)
const balancerName = (id: Identity) => `app/${named('Name', 32)(id)}/${stableId(id, 16)}`
const targetGroupName = (id: Identity) => `targetgroup/${named('Name', 32)(id)}/${stableId(id, 16)}`
/** Names its load balancer. */
const listenerArn = (id: Identity) =>
  `${(id.property('LoadBalancerArn') ?? '').replace(':loadbalancer/', ':listener/')}/${stableId(id, 16)}`
const secretArn = (id: Identity) =>
  arn('secretsmanager', `secret:${named('Name', 512)(id)}-${stableId(id, 6, 'base36')}`)
const busName = named('Name', 256)

const ruleName = named('Name', 64)
/** A rule's ARN and `Ref` contain its bus only when that is not the default one. */
const ruleResource = (id: Identity) => {
  const bus = id.property('EventBusName')?.replace(/^.*event-bus\//, '')
  return bus && bus !== 'default' ? `${bus}/${ruleName(id)}` : ruleName(id)
}

const RULES: Readonly<Record<string, TypeRules>> = {
  'AWS::ApiGatewayV2::Api': {
    ref: apiId,
    attributes: {
      ApiId: apiId,
      ApiEndpoint: (id) =>
        `${id.property('ProtocolType') === 'WEBSOCKET' ? 'wss' : 'https'}://${apiId(id)}.execute-api.${REGION}.${URL_SUFFIX}`,
    },
  },
  'AWS::ApiGatewayV2::Authorizer': { ref: shortId.ref, attributes: { AuthorizerId: shortId.ref } },
  'AWS::ApiGatewayV2::Integration': { ref: shortId.ref, attributes: { IntegrationId: shortId.ref } },
  'AWS::ApiGatewayV2::Route': { ref: shortId.ref, attributes: { RouteId: shortId.ref } },
  'AWS::ApiGatewayV2::Stage': { ref: (id) => id.property('StageName') ?? '$default', attributes: {} },
  'AWS::CloudFront::Distribution': {
    ref: distributionId,
    attributes: {
      Id: distributionId,
      DomainName: (id) => `d${stableId(id, 13, 'base36')}.cloudfront.net`,
    },
  },
  'AWS::DynamoDB::GlobalTable': table,
  'AWS::DynamoDB::Table': table,
  'AWS::EC2::SecurityGroup': {
    ref: (id) => `sg-${stableId(id, 17)}`,
    attributes: { GroupId: (id) => `sg-${stableId(id, 17)}` },
  },
  'AWS::EC2::Subnet': prefixedId('subnet-', { SubnetId: (id) => `subnet-${stableId(id, 17)}` }),
  'AWS::EC2::VPC': prefixedId('vpc-', { VpcId: (id) => `vpc-${stableId(id, 17)}` }),
  'AWS::ECS::Cluster': {
    ref: clusterName,
    attributes: { Arn: (id) => arn('ecs', `cluster/${clusterName(id)}`) },
  },
  'AWS::ECS::Service': {
    ref: (id) => arn('ecs', `service/${serviceName(id)}`),
    attributes: { Name: serviceName, ServiceArn: (id) => arn('ecs', `service/${serviceName(id)}`) },
  },
  'AWS::ECS::TaskDefinition': { ref: taskDefinitionArn, attributes: { TaskDefinitionArn: taskDefinitionArn } },
  'AWS::EFS::AccessPoint': {
    ref: accessPointId,
    attributes: {
      AccessPointId: accessPointId,
      Arn: (id) => arn('elasticfilesystem', `access-point/${accessPointId(id)}`),
    },
  },
  'AWS::EFS::FileSystem': {
    ref: fileSystemId,
    attributes: {
      FileSystemId: fileSystemId,
      Arn: (id) => arn('elasticfilesystem', `file-system/${fileSystemId(id)}`),
    },
  },
  'AWS::ElasticLoadBalancingV2::Listener': {
    ref: listenerArn,
    attributes: { ListenerArn: listenerArn },
  },
  'AWS::ElasticLoadBalancingV2::LoadBalancer': {
    ref: (id) => arn('elasticloadbalancing', `loadbalancer/${balancerName(id)}`),
    attributes: {
      DNSName: (id) => `${named('Name', 32)(id)}-${stableId(id, 10, 'base36')}.${REGION}.elb.${URL_SUFFIX}`,
      LoadBalancerFullName: balancerName,
      LoadBalancerName: named('Name', 32),
    },
  },
  'AWS::ElasticLoadBalancingV2::TargetGroup': {
    ref: (id) => arn('elasticloadbalancing', targetGroupName(id)),
    attributes: { TargetGroupFullName: targetGroupName, TargetGroupName: named('Name', 32) },
  },
  'AWS::Events::EventBus': {
    ref: busName,
    attributes: { Name: busName, Arn: (id) => arn('events', `event-bus/${busName(id)}`) },
  },
  'AWS::Events::Rule': {
    ref: (id) => ruleResource(id).replace('/', '|'),
    attributes: { Arn: (id) => arn('events', `rule/${ruleResource(id)}`) },
  },
  'AWS::IAM::ManagedPolicy': {
    ref: (id) => arn('iam', `policy${id.property('Path') ?? '/'}${named('ManagedPolicyName', 128)(id)}`, ''),
    attributes: {
      PolicyArn: (id) => arn('iam', `policy${id.property('Path') ?? '/'}${named('ManagedPolicyName', 128)(id)}`, ''),
    },
  },
  'AWS::IAM::Role': {
    ref: named('RoleName', 64),
    attributes: {
      Arn: (id) => arn('iam', `role${id.property('Path') ?? '/'}${named('RoleName', 64)(id)}`, ''),
      RoleId: (id) => `AROA${stableId(id, 17, 'base36').toUpperCase()}`,
    },
  },
  'AWS::KMS::Key': prefixedId('', {
    KeyId: (id) => stableId(id, 17),
    Arn: (id) => arn('kms', `key/${stableId(id, 17)}`),
  }),
  'AWS::Lambda::Alias': {
    ref: (id) => `${functionArn(id.property('FunctionName') ?? '')}:${id.property('Name') ?? ''}`,
    attributes: { AliasArn: (id) => `${functionArn(id.property('FunctionName') ?? '')}:${id.property('Name') ?? ''}` },
  },
  'AWS::Lambda::Function': byName('FunctionName', 64, 'lambda', 'function:'),
  'AWS::Lambda::Version': {
    ref: (id) => `${functionArn(id.property('FunctionName') ?? '')}:1`,
    attributes: { FunctionArn: (id) => `${functionArn(id.property('FunctionName') ?? '')}:1`, Version: () => '1' },
  },
  'AWS::Logs::LogGroup': {
    ref: named('LogGroupName', 512),
    attributes: { Arn: (id) => `${arn('logs', `log-group:${named('LogGroupName', 512)(id)}`)}:*` },
  },
  'AWS::S3::Bucket': {
    ref: (id) => named('BucketName', 63)(id).toLowerCase(),
    attributes: {
      Arn: (id) => arn('s3', named('BucketName', 63)(id).toLowerCase()),
      DomainName: (id) => `${named('BucketName', 63)(id).toLowerCase()}.s3.${URL_SUFFIX}`,
      RegionalDomainName: (id) => `${named('BucketName', 63)(id).toLowerCase()}.s3.${REGION}.${URL_SUFFIX}`,
    },
  },
  'AWS::SNS::Topic': {
    ref: (id) => arn('sns', named('TopicName', 256)(id)),
    attributes: { TopicArn: (id) => arn('sns', named('TopicName', 256)(id)), TopicName: named('TopicName', 256) },
  },
  'AWS::SQS::Queue': {
    ref: (id) => `https://sqs.${REGION}.${URL_SUFFIX}/${ACCOUNT_ID}/${queueName(id)}`,
    attributes: {
      Arn: (id) => arn('sqs', queueName(id)),
      QueueName: queueName,
      QueueUrl: (id) => `https://sqs.${REGION}.${URL_SUFFIX}/${ACCOUNT_ID}/${queueName(id)}`,
    },
  },
  'AWS::SSM::Parameter': {
    ref: named('Name', 1011),
    attributes: { Type: (id) => id.property('Type') ?? 'String', Value: (id) => id.property('Value') ?? '' },
  },
  'AWS::Scheduler::Schedule': byName('Name', 64, 'scheduler', 'schedule/default/'),
  'AWS::SecretsManager::Secret': { ref: secretArn, attributes: { Id: secretArn } },
}

/** What `Ref` gives for a resource: its physical id. A type that is not known gets a stable one of its own. */
export function refOf(id: Identity): string {
  return (RULES[id.type]?.ref ?? ((unknown) => `${unknown.logicalId.slice(0, 40)}-${stableId(unknown, 8)}`))(id)
}

/** What `Fn::GetAtt` gives; an attribute that is not known gets a stable value, an ARN when its name ends in `Arn`. */
export function attributeOf(id: Identity, attribute: string): string {
  const known = RULES[id.type]?.attributes[attribute]
  if (known) return known(id)
  const service = id.type.split('::')[1]?.toLowerCase() ?? 'cloudformation'
  return attribute.endsWith('Arn') ? arn(service, `${attribute}/${refOf(id)}`) : `${refOf(id)}.${attribute}`
}

/** The resource's ARN whatever its type calls it: `Ref` where that is one already, otherwise the `Arn` attribute. */
export function arnOf(id: Identity): string {
  const ref = refOf(id)
  if (ref.startsWith('arn:')) return ref
  if (id.type === 'AWS::ApiGatewayV2::Api') return `arn:aws:apigateway:${REGION}::/apis/${ref}`
  return attributeOf(id, 'Arn')
}
