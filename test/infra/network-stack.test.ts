import { describe, expect, it } from 'vitest'
import { synthesized } from './support/synthesized.ts'

describe('network', () => {
  const { templates, ofType } = synthesized('production')
  const { network } = templates

  it('has public subnets and no NAT gateway by default', () => {
    network.resourceCountIs('AWS::EC2::NatGateway', 0)
    network.resourceCountIs('AWS::EC2::Subnet', 2)
    expect(onWorkVariables(ofType).TASK_PUBLIC_IP).toBe('ENABLED')
  })

  it('lets nothing in to a task', () => {
    const groups = ofType('AWS::EC2::SecurityGroup').filter(({ stack }) => stack === 'network')
    expect(groups).toHaveLength(1)
    expect(groups[0]?.Properties.SecurityGroupIngress).toBeUndefined()
    expect(ofType('AWS::EC2::SecurityGroupIngress')).toEqual([])
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
