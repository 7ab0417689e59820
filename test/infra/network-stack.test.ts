import { describe, expect, it } from 'vitest'
import { synthesized } from './support/synthesized.ts'

describe('network', () => {
  const { templates, ofType } = synthesized('production')
  const { network } = templates
  const gateway = ofType('AWS::EC2::SecurityGroup').find(({ logicalId }) => logicalId.startsWith('GatewaySecurity'))
  const ingressOf = (group: string) =>
    ofType('AWS::EC2::SecurityGroupIngress')
      .filter(({ Properties }) => Properties.GroupId['Fn::GetAtt'][0] === group)
      .map(({ Properties }) => Properties)

  it('has public subnets and no NAT gateway by default', () => {
    network.resourceCountIs('AWS::EC2::NatGateway', 0)
    network.resourceCountIs('AWS::EC2::Subnet', 2)
    expect(onWorkVariables(ofType).TASK_PUBLIC_IP).toBe('ENABLED')
  })

  it('lets nothing in to a task', () => {
    const tasks = groupOf(onWorkVariables(ofType).TASK_SECURITY_GROUPS)
    const groups = ofType('AWS::EC2::SecurityGroup').filter(({ stack }) => stack === 'network')
    expect(groups.map(({ logicalId }) => logicalId)).toContain(tasks)
    for (const group of groups) expect(group.Properties.SecurityGroupIngress).toBeUndefined()
    expect(ingressOf(tasks)).toEqual([])
  })

  it('lets the gateway, and nothing else, in to the ports that previews lease', () => {
    const previews = groupOf(onWorkVariables(ofType).PREVIEW_SECURITY_GROUPS)
    expect(previews).not.toBe(groupOf(onWorkVariables(ofType).TASK_SECURITY_GROUPS))
    expect(ingressOf(previews)).toEqual([
      expect.objectContaining({
        IpProtocol: 'tcp',
        FromPort: 5000,
        ToPort: 8999,
        SourceSecurityGroupId: { 'Fn::GetAtt': [gateway?.logicalId, 'GroupId'] },
      }),
    ])
  })

  it('lets the gateway out to previews and to AWS', () => {
    expect(gateway?.Properties.SecurityGroupEgress).toEqual([
      expect.objectContaining({ CidrIp: '0.0.0.0/0', IpProtocol: 'tcp', FromPort: 443, ToPort: 443 }),
    ])
    const others = ofType('AWS::EC2::SecurityGroupEgress').filter(
      ({ Properties }) => Properties.GroupId['Fn::GetAtt']?.[0] === gateway?.logicalId,
    )
    const previews = groupOf(onWorkVariables(ofType).PREVIEW_SECURITY_GROUPS)
    expect(others.map(({ Properties }) => Properties)).toEqual([
      expect.objectContaining({
        IpProtocol: 'tcp',
        FromPort: 5000,
        ToPort: 8999,
        DestinationSecurityGroupId: { 'Fn::GetAtt': [previews, 'GroupId'] },
      }),
    ])
  })

  it('reaches DynamoDB and S3 through gateway endpoints', () => {
    const services = ofType('AWS::EC2::VPCEndpoint').map(({ Properties }) => JSON.stringify(Properties.ServiceName))
    expect(services.filter((name) => name.includes('.dynamodb'))).toHaveLength(1)
    expect(services.filter((name) => name.includes('.s3'))).toHaveLength(1)
  })

  it('keeps flow logs', () => {
    network.hasResourceProperties('AWS::EC2::FlowLog', { TrafficType: 'ALL', LogDestinationType: 'cloud-watch-logs' })
  })
})

describe('network behind NAT', () => {
  it('puts tasks into private subnets without public addresses', () => {
    const { templates, ofType } = synthesized('production', { natGateways: 1 })
    templates.network.resourceCountIs('AWS::EC2::NatGateway', 1)
    templates.network.resourceCountIs('AWS::EC2::Subnet', 4)
    const variables = onWorkVariables(ofType)
    expect(variables.TASK_PUBLIC_IP).toBe('DISABLED')
    expect(JSON.stringify(variables.TASK_SUBNETS)).toContain('TasksSubnet1')
  })
})

function onWorkVariables(ofType: ReturnType<typeof synthesized>['ofType']): Record<string, unknown> {
  const onWork = ofType('AWS::Lambda::Function').find(({ Properties }) => Properties.FunctionName.endsWith('-on-work'))
  return onWork?.Properties.Environment.Variables
}

/** The logical id of the one security group that a variable imports. */
function groupOf(variable: unknown): string {
  const [, id] = /GetAtt(\w+SecurityGroup[0-9A-F]{8})GroupId/.exec(JSON.stringify(variable)) ?? []
  if (id === undefined) throw new Error(`Not one security group: ${JSON.stringify(variable)}`)
  return id
}
