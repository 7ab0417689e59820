import { describe, expect, it } from 'vitest'
import { LinkUpSchema } from '../../shared/contracts/link.ts'
import { lambdaOf } from './support/roles.ts'
import { synthesized } from './support/synthesized.ts'

const app = synthesized('production')
const { realtime } = app.templates

describe('WebSocket API', () => {
  it('selects routes by the action of a message', () => {
    realtime.hasResourceProperties('AWS::ApiGatewayV2::Api', {
      ProtocolType: 'WEBSOCKET',
      RouteSelectionExpression: '$request.body.action',
    })
    const keys = app.ofType('AWS::ApiGatewayV2::Route').filter(({ stack }) => stack === 'realtime')
    const [action] = new Set(LinkUpSchema.options.map((option) => option.shape.action.value))
    expect(keys.map(({ Properties }) => Properties.RouteKey).sort()).toEqual(
      ['$connect', '$default', '$disconnect', action].sort(),
    )
  })

  it('is throttled and logged', () => {
    realtime.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: 'live',
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 2000, ThrottlingBurstLimit: 2000 },
    })
    const stage = app.ofType('AWS::ApiGatewayV2::Stage').find((found) => found.stack === 'realtime')
    const account = app.ofType('AWS::ApiGateway::Account')[0]
    expect(stage).toMatchObject({ DependsOn: expect.arrayContaining([account?.logicalId]) })
    expect(account?.DeletionPolicy).toBe('Retain')
  })

  it('is posted to by the endpoint of its stage', () => {
    const endpoint = lambdaOf(app, 'production', 'ping-connections').Properties.Environment.Variables.WEBSOCKET_ENDPOINT
    const api = app.ofType('AWS::ApiGatewayV2::Api').find((found) => found.stack === 'realtime')
    const joined = endpoint['Fn::Join'][1]
      .map((part: unknown) => (typeof part === 'string' ? part : JSON.stringify(part)))
      .join('')
    expect(joined).toBe(
      `https://{"Ref":"${api?.logicalId}"}.execute-api.{"Ref":"AWS::Region"}.{"Ref":"AWS::URLSuffix"}/live`,
    )
  })
})
