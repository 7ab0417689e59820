import { expect, test } from 'vitest'
import { type InputSettings, targetInput, valueAt } from '../../../../local/eventbridge/target-input.ts'

/** The example event of the user guide's page on input transformation. */
const EVENT = {
  version: '0',
  id: '7bf73129-1428-4cd3-a780-95db273d1602',
  'detail-type': 'EC2 Instance State-change Notification',
  source: 'aws.ec2',
  account: '123456789012',
  time: '2015-11-11T21:29:54Z',
  region: 'us-east-1',
  resources: ['arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111'],
  detail: { 'instance-id': 'i-0123456789', state: 'RUNNING', tags: { 'a b': ['x"y'] } },
}
const RULE = { arn: 'arn:aws:events:us-east-2:123456789012:rule/example', name: 'example' }
const PATHS = { timestamp: '$.time', instance: '$.detail.instance-id', state: '$.detail.state', none: '$.detail.none' }

const input = (settings: InputSettings) => JSON.parse(targetInput(settings, EVENT, RULE, 0)) as unknown
const transform = (InputTemplate: string) => input({ InputTransformer: { InputPathsMap: PATHS, InputTemplate } })

test('without settings the target gets the event; Input and InputPath take its place', () => {
  expect(input({})).toEqual(EVENT)
  expect(input({ Input: '{"fixed":true}' })).toEqual({ fixed: true })
  expect(input({ InputPath: '$.detail' })).toEqual(EVENT.detail)
  expect(input({ InputPath: '$.none' })).toBeNull()
})

test('the examples of input templates', () => {
  expect(transform('"instance <instance> is in <state>"')).toBe('instance i-0123456789 is in RUNNING')
  expect(transform('"instance \\"<instance>\\" is in <state>"')).toBe('instance "i-0123456789" is in RUNNING')
  expect(transform('{\n "instance" : <instance>,\n "state": <state>\n}')).toEqual({
    instance: 'i-0123456789',
    state: 'RUNNING',
  })
  expect(
    transform('{"instance": <instance>, "state": "<state>", "s": "instance \\"<instance>\\" is in <state>"}'),
  ).toEqual({
    instance: 'i-0123456789',
    state: 'RUNNING',
    s: 'instance "i-0123456789" is in RUNNING',
  })
  expect(transform('{"state": [9, <state>, true], "Transformed": "Yes"}')).toEqual({
    state: [9, 'RUNNING', true],
    Transformed: 'Yes',
  })
  expect(transform('{"ruleArn": <aws.events.rule-arn>, "originalEvent": <aws.events.event>}')).toEqual({
    ruleArn: RULE.arn,
    originalEvent: EVENT,
  })
  expect(transform('"<aws.events.rule-name> triggered"')).toBe('example triggered')
})

test('a path that leads nowhere, a name that is no variable, and a template that gives no JSON', () => {
  expect(transform('"<none>|"')).toBe('|')
  expect(transform('"<unknown>"')).toBe('<unknown>')
  expect(() => transform('instance <instance>')).toThrow('The input template gives no JSON')
})

test('paths go through objects and arrays', () => {
  expect(valueAt('$', EVENT)).toBe(EVENT)
  expect(valueAt('$.resources[0]', EVENT)).toBe(EVENT.resources[0])
  expect(valueAt("$.detail.tags['a b'][0]", EVENT)).toBe('x"y')
  expect(valueAt('$.detail.x.y', EVENT)).toBeUndefined()
  expect(() => valueAt('detail', EVENT)).toThrow('Not a JSON path: detail')
  expect(() => valueAt('$..x', EVENT)).toThrow('Not a JSON path')
})
