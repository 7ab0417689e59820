import { describe, expect, test } from 'vitest'
import { compilePattern, matchesPattern, type Pattern } from '../../../../local/eventbridge/event-pattern.ts'

/** The sample event of event-ruler's README. */
const EVENT = {
  version: '0',
  id: 'ddddd4-aaaa-7777-4444-345dd43cc333',
  'detail-type': 'EC2 Instance State-change Notification',
  source: 'aws.ec2',
  account: '012345679012',
  time: '2017-10-02T16:24:49Z',
  region: 'us-east-1',
  resources: ['arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000'],
  detail: {
    'c-count': 5,
    'd-count': 3,
    'x-limit': 301.8,
    'source-ip': '10.0.0.33',
    'instance-id': 'i-000000aaaaaa00000',
    state: 'running',
  },
}

const matching = (pattern: Pattern, event: unknown = EVENT) => expect(matchesPattern(pattern, event)).toBe(true)
const failing = (pattern: Pattern, event: unknown = EVENT) => expect(matchesPattern(pattern, event)).toBe(false)
/** Whether one field with this value matches. */
const field = (values: unknown[], value: unknown) =>
  matchesPattern({ f: values }, value === undefined ? {} : { f: value })

describe('the examples of event-ruler and the EventBridge user guide', () => {
  test('simple matching: any value of a field, all fields, arrays by intersection', () => {
    matching({
      'detail-type': ['EC2 Instance State-change Notification'],
      resources: ['arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000'],
      detail: { state: ['initializing', 'running'] },
    })
    failing({ source: ['aws.ec2'], detail: { state: ['stopped'] } })
    failing({ source: ['aws.ec2'], nothing: ['x'] })
  })

  test('prefix, suffix, equals-ignore-case, wildcard', () => {
    matching({ time: [{ prefix: '2017-10-02' }] })
    matching({ source: [{ suffix: 'ec2' }] })
    matching({ source: [{ 'equals-ignore-case': 'AWS.EC2' }] })
    matching({ source: [{ wildcard: 'a*.*2' }] })
    failing({ source: [{ prefix: 'ec2' }] })
    failing({ source: [{ suffix: 'aws' }] })
    failing({ source: [{ 'equals-ignore-case': 'ec2' }] })
    failing({ source: [{ wildcard: 'a*x' }] })
  })

  test('prefix and suffix regardless of case', () => {
    const service = { service: 'EventBridge' }
    matching({ service: [{ prefix: { 'equals-ignore-case': 'eventb' } }] }, service)
    matching({ service: [{ suffix: { 'equals-ignore-case': 'BRIDGE' } }] }, service)
    failing({ service: [{ prefix: { 'equals-ignore-case': 'bridge' } }] }, service)
  })

  test('anything-but: value, number, lists', () => {
    matching({ detail: { state: [{ 'anything-but': 'initializing' }] } })
    failing({ detail: { state: [{ 'anything-but': 'running' }] } })
    matching({ detail: { 'x-limit': [{ 'anything-but': 123 }] } })
    matching({ detail: { state: [{ 'anything-but': ['stopped', 'overloaded'] }] } })
    matching({ detail: { 'x-limit': [{ 'anything-but': [100, 200, 300] }] } })
    failing({ detail: { 'x-limit': [{ 'anything-but': [100, 301.8] }] } })
  })

  test('anything-but prefix, suffix, ignoring case, wildcard, each also of a list', () => {
    matching({ detail: { state: [{ 'anything-but': { prefix: 'init' } }] } })
    failing({ detail: { state: [{ 'anything-but': { prefix: 'run' } }] } })
    failing({ detail: { state: [{ 'anything-but': { prefix: ['init', 'run'] } }] } })
    const file = (name: string) => ({ FilePath: name })
    matching({ FilePath: [{ 'anything-but': { suffix: '.png' } }] }, file('a.txt'))
    failing({ FilePath: [{ 'anything-but': { suffix: ['.txt', '.rtf'] } }] }, file('a.txt'))
    failing({ FilePath: [{ 'anything-but': { wildcard: '*/lib/*' } }] }, file('/usr/lib/x'))
    matching({ FilePath: [{ 'anything-but': { wildcard: ['*/lib/*', '*/bin/*'] } }] }, file('/usr/etc/x'))
    failing({ detail: { state: [{ 'anything-but': { 'equals-ignore-case': 'RUNNING' } }] } })
    failing({ detail: { state: [{ 'anything-but': { 'equals-ignore-case': ['x', 'Running'] } }] } })
  })

  test('numeric matching', () => {
    matching({
      detail: {
        'c-count': [{ numeric: ['>', 0, '<=', 5] }],
        'd-count': [{ numeric: ['<', 10] }],
        'x-limit': [{ numeric: ['=', 3.018e2] }],
      },
    })
    failing({ detail: { 'c-count': [{ numeric: ['>', 5] }] } })
    failing({ detail: { 'c-count': [{ numeric: ['>=', 5, '<', 5.5] }], state: [{ numeric: ['=', 1] }] } })
  })

  test('IP addresses', () => {
    matching({ detail: { 'source-ip': [{ cidr: '10.0.0.0/24' }] } })
    failing({ detail: { 'source-ip': [{ cidr: '10.0.1.0/24' }] } })
    expect(field([{ cidr: '2001:db8::/32' }], '2001:0db8:85a3::8a2e')).toBe(true)
    expect(field([{ cidr: '2001:db8::/32' }], '2001:db9::1')).toBe(false)
    expect(field([{ cidr: '10.0.0.0/8' }], 'not an address')).toBe(false)
  })

  test('exists works on leaves only', () => {
    matching({ detail: { 'c-count': [{ exists: true }] } })
    failing({ detail: { 'c-count': [{ exists: false }] } })
    matching({ detail: { 'e-count': [{ exists: false }] } })
    // An object is no leaf.
    matching({ detail: { 'c-count': [{ exists: false }] } }, { detail: { 'c-count': { c1: 100 } } })
    failing({ detail: { 'c-count': [{ exists: true }] } }, { detail: { 'c-count': { c1: 100 } } })
    matching({ a: { b: [{ exists: false }] } }, {})
    expect(field([{ exists: false }, 'x'], undefined)).toBe(true)
    expect(field([{ exists: false }, 'x'], 'x')).toBe(true)
    expect(field([{ exists: false }, 'x'], 'y')).toBe(false)
    expect(field([{ exists: true }], null)).toBe(true)
  })

  test('null, empty texts and booleans', () => {
    expect(field([null], null)).toBe(true)
    expect(field([null], '')).toBe(false)
    expect(field([''], '')).toBe(true)
    expect(field([true], true)).toBe(true)
    expect(field([true], 'true')).toBe(false)
    expect(field([5], 5.0)).toBe(true)
    expect(field(['5'], 5)).toBe(false)
  })

  test('the complex example', () => {
    matching({
      time: [{ prefix: '2017-10-02' }],
      detail: {
        state: [{ 'anything-but': 'initializing' }],
        'c-count': [{ numeric: ['>', 0, '<=', 5] }],
        'd-count': [{ numeric: ['<', 10] }],
        'x-limit': [{ 'anything-but': [100, 200, 300] }],
        'source-ip': [{ cidr: '10.0.0.0/8' }],
      },
    })
  })

  test('$or: plain, parallel, with an “and” inside, nested', () => {
    const alarm = {
      source: 'aws.cloudwatch',
      metricName: 'x',
      metricType: 'MetricType',
      namespace: 'AWS/EC2',
      spaceId: 1000,
    }
    const pattern = {
      source: ['aws.cloudwatch'],
      $or: [
        { metricName: ['CPUUtilization', 'ReadLatency'] },
        {
          metricType: ['MetricType'],
          namespace: ['AWS/EC2', 'AWS/ES'],
          $or: [{ metricId: [1234] }, { spaceId: [1000] }],
        },
        { scope: ['Service'] },
      ],
    }
    matching(pattern, alarm)
    failing(pattern, { ...alarm, spaceId: 1001 })
    matching(pattern, { source: 'aws.cloudwatch', scope: 'Service' })
    failing(pattern, { source: 'other', scope: 'Service' })
    const parallel = {
      $or: [{ metricName: ['CPUUtilization'] }, { namespace: ['AWS/EC2'] }],
      detail: { $or: [{ source: ['aws.cloudwatch'] }, { 'detail-type': ['CloudWatch Alarm State Change'] }] },
    }
    matching(parallel, { namespace: 'AWS/EC2', detail: { source: 'aws.cloudwatch' } })
    failing(parallel, { namespace: 'AWS/EC2', detail: { source: 'other' } })
  })

  test('arrays of objects: fields must match within the same object', () => {
    const employees = [
      [
        { firstName: 'John', lastName: 'Doe' },
        { firstName: 'Anna', lastName: 'Smith' },
      ],
      [{ firstName: 'Peter', lastName: 'Jones' }],
    ]
    matching({ employees: { firstName: ['Anna'] } }, { employees })
    matching({ employees: { firstName: ['Anna'], lastName: ['Smith'] } }, { employees })
    failing({ employees: { firstName: ['Anna'], lastName: ['Jones'] } }, { employees })
  })
})

test('wildcards: escapes, and characters that mean something in regular expressions', () => {
  expect(field([{ wildcard: 'a\\*b' }], 'a*b')).toBe(true)
  expect(field([{ wildcard: 'a\\*b' }], 'axb')).toBe(false)
  expect(field([{ wildcard: 'C:\\\\*' }], 'C:\\x')).toBe(true)
  expect(field([{ wildcard: '*.(x)+[y]$' }], 'file.(x)+[y]$')).toBe(true)
  expect(field([{ wildcard: '*.x' }], 'filexx')).toBe(false)
  expect(field([{ wildcard: 'a*b' }], 'a\nb')).toBe(true)
})

test('operators want texts, except anything-but, which takes whatever is not what it names', () => {
  expect(field([{ prefix: '1' }], 12)).toBe(false)
  expect(field([{ 'anything-but': 'x' }], 12)).toBe(true)
  expect(field([{ 'anything-but': { prefix: '1' } }], 12)).toBe(true)
  expect(field([{ 'anything-but': 'x' }], undefined)).toBe(false)
  expect(field([{ 'anything-but': 'a' }], ['a', 'b'])).toBe(true)
  expect(field([{ 'anything-but': 'a' }], ['a'])).toBe(false)
})

test.each([
  ['not json', 'Invalid JSON'],
  ['[]', 'Filter is not an object'],
  [{}, 'Empty objects are not allowed'],
  [{ detail: {} }, 'Empty objects are not allowed'],
  [{ source: 'aws.ec2' }, '"source" must be an object or an array'],
  [{ source: [] }, 'Empty arrays are not allowed'],
  [{ source: [['x']] }, 'Match value must be String, number, true, false, or null'],
  [{ source: [{ contains: 'x' }] }, 'Unrecognized match type contains'],
  [{ source: [{}] }, 'Match expression name not found'],
  [{ source: [{ prefix: 'x', suffix: 'y' }] }, 'Only one key allowed in match expression'],
  [{ source: [{ prefix: 1 }] }, 'prefix match pattern must be a string'],
  [{ source: [{ wildcard: 'a**b' }] }, 'Consecutive wildcard characters at pos 1'],
  [{ source: [{ wildcard: 'a\\b' }] }, 'Invalid escape character at pos 2'],
  [{ n: [{ numeric: ['!=', 1] }] }, 'Unrecognized numeric range operator: !='],
  [{ n: [{ numeric: ['>', 'x'] }] }, 'Value of > must be numeric'],
  [{ n: [{ numeric: ['=', 1, '<', 2] }] }, 'Too many elements in numeric expression'],
  [{ n: [{ numeric: ['>', 1, '>', 2] }] }, 'Bad numeric range operator: >'],
  [{ n: [{ numeric: ['=', 6e9] }] }, 'Value must be between -5.0E9 and 5.0E9, inclusive'],
  [{ n: [{ numeric: 5 }] }, 'Value of numeric must be an array.'],
  [{ ip: [{ cidr: '10.0.0.0' }] }, "Malformed CIDR, one '/' required"],
  [{ ip: [{ cidr: '10.0.0.0/33' }] }, 'Malformed CIDR, mask bits must not exceed 32'],
  [{ x: [{ exists: 'yes' }] }, 'exists match pattern must be either true or false.'],
  [{ x: [{ 'anything-but': ['a', 1] }] }, 'Inside anything but list, either all values are number or string'],
  [{ x: [{ 'anything-but': true }] }, 'Value of anything-but must be an array or single string/number value.'],
  [{ x: [{ 'anything-but': { numeric: ['=', 1] } }] }, 'Unsupported anything-but pattern: numeric'],
  [{ $or: {} }, 'It must be an Array followed with $or.'],
  [{ $or: [{ a: [1] }] }, 'There must have at least 2 Objects in $or relationship.'],
  [{ $or: [{ a: [1] }, 1] }, 'Only JSON object is allowed in array of $or relationship.'],
  [{ $or: [{ prefix: ['a'] }, { b: [1] }] }, 'prefix is Ruler reserved fieldName which cannot be used inside $or.'],
  [{ x: ['y'.repeat(4_096)] }, 'longer than 4096 characters'],
])('%j is no pattern', (pattern, reason) => {
  expect(() => compilePattern(pattern)).toThrow(reason)
})
