import { loadAwsServiceSpec } from '@aws-cdk/aws-service-spec'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkTemplate } from '../../scripts/check-templates.ts'

let spec: Awaited<ReturnType<typeof loadAwsServiceSpec>>
beforeAll(async () => {
  spec = await loadAwsServiceSpec()
})

const checked = (Type: string, Properties: Record<string, unknown>) =>
  checkTemplate(spec, { Resources: { Made: { Type, Properties } } })

describe('checkTemplate', () => {
  it('accepts a right resource and functions in the place of values', () => {
    const properties = {
      QueueName: { 'Fn::Join': ['-', ['a', { Ref: 'AWS::StackName' }]] },
      DelaySeconds: '5',
      FifoQueue: true,
    }
    expect(checked('AWS::SQS::Queue', properties)).toEqual([])
  })

  it('finds a resource type that does not exist', () => {
    expect(checked('AWS::SQS::Topic', {})).toEqual(['Made: no resource type AWS::SQS::Topic'])
  })

  it('finds a property that does not exist, at any depth', () => {
    expect(checked('AWS::SQS::Queue', { Delay: 5 })).toEqual(['Made (AWS::SQS::Queue): no property Delay'])
    expect(
      checked('AWS::Events::Rule', { Targets: [{ Arn: 'a', Id: 'i', DeadLetterConfig: { Queue: 'q' } }] }),
    ).toEqual(['Made (AWS::Events::Rule).Targets[0].DeadLetterConfig: no property Queue'])
  })

  it('finds a missing property, at any depth', () => {
    expect(checked('AWS::ApiGatewayV2::Route', { RouteKey: '$default' })).toEqual([
      'Made (AWS::ApiGatewayV2::Route): ApiId is required',
    ])
    expect(checked('AWS::Events::Rule', { Targets: [{ Arn: 'a' }] })).toEqual([
      'Made (AWS::Events::Rule).Targets[0]: Id is required',
    ])
  })

  it('finds a value of the wrong type', () => {
    expect(checked('AWS::SQS::Queue', { DelaySeconds: 'soon' })).toEqual([
      'Made (AWS::SQS::Queue).DelaySeconds: expected integer, got "soon"',
    ])
    expect(checked('AWS::Events::Rule', { Targets: { Arn: 'a' } })).toEqual([
      'Made (AWS::Events::Rule).Targets: expected array, got {"Arn":"a"}',
    ])
  })
})
