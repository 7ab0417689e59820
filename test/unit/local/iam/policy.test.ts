import { describe, expect, test } from 'vitest'
import { type AccessRequest, evaluate, parsePolicy } from '../../../../local/iam/policy.ts'

const ROLE = 'arn:aws:iam::000000000000:role/teams/a'
const FS = 'arn:aws:elasticfilesystem:us-east-1:000000000000:file-system/fs-1'
const POINT = 'arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-a'

const REQUEST: AccessRequest = {
  action: 'elasticfilesystem:ClientMount',
  resource: FS,
  principal: { kind: 'role', arn: ROLE, account: '000000000000' },
  context: {
    'aws:securetransport': 'true',
    'elasticfilesystem:accesspointarn': POINT,
    'aws:principaltag/team': 'a',
    'aws:principalarn': ROLE,
  },
}

const statement = (fields: object) => ({ Effect: 'Allow', Action: '*', Resource: '*', ...fields })
const say = (fields: object, request: Partial<AccessRequest> = {}, kind: 'identity' | 'resource' = 'identity') =>
  evaluate(parsePolicy({ Version: '2012-10-17', Statement: [statement(fields)] }), { ...REQUEST, ...request }, kind)
const when = (operator: string, key: string, value: unknown) => say({ Condition: { [operator]: { [key]: value } } })

test.each([
  ['elasticfilesystem:ClientMount', 'allow'],
  ['ElasticFileSystem:clientmount', 'allow'],
  ['elasticfilesystem:Client*', 'allow'],
  ['elasticfilesystem:ClientMoun?', 'allow'],
  ['elasticfilesystem:ClientWrite', 'none'],
  ['elasticfilesystem', 'none'],
])('the action %s', (Action, verdict) => {
  expect(say({ Action })).toBe(verdict)
})

test.each([
  [FS, 'allow'],
  [`${FS}2`, 'none'],
  ['arn:aws:elasticfilesystem:*:*:file-system/*', 'allow'],
  [[`${FS}2`, '*'], 'allow'],
])('the resource %s', (Resource, verdict) => {
  expect(say({ Resource })).toBe(verdict)
})

test('NotAction and NotResource are all others', () => {
  expect(say({ Action: undefined, NotAction: 'elasticfilesystem:*' })).toBe('none')
  expect(say({ Action: undefined, NotAction: 's3:*' })).toBe('allow')
  expect(say({ Resource: undefined, NotResource: FS })).toBe('none')
})

test('a deny wins, wherever it stands', () => {
  const Statement = [statement({}), statement({ Effect: 'Deny' }), statement({})]
  expect(evaluate(parsePolicy({ Statement }), REQUEST, 'identity')).toBe('deny')
})

describe('conditions', () => {
  const KEY = 'elasticfilesystem:AccessPointArn'
  test.each([
    ['StringEquals', KEY, POINT, 'allow'],
    ['StringEquals', KEY, ['x', POINT], 'allow'],
    ['StringEquals', KEY, 'arn:*', 'none'],
    ['StringNotEquals', KEY, POINT, 'none'],
    ['StringNotEquals', KEY, ['x', 'y'], 'allow'],
    ['StringNotEquals', KEY, ['x', POINT], 'none'],
    ['StringLike', KEY, 'arn:*fsap-?', 'allow'],
    ['StringNotLike', KEY, 'arn:*', 'none'],
    ['StringEqualsIgnoreCase', 'aws:PrincipalTag/team', 'A', 'allow'],
    ['ArnEquals', KEY, POINT, 'allow'],
    ['ArnLike', KEY, 'arn:aws:elasticfilesystem:*:*:access-point/*', 'allow'],
    ['ArnLike', KEY, 'arn:aws:*:access-point/fsap-a', 'none'],
    ['ArnNotLike', KEY, 'arn:aws:elasticfilesystem:*:*:access-point/*', 'none'],
    ['ArnNotLike', KEY, 'arn:aws:elasticfilesystem:*:*:access-point/fsap-b', 'allow'],
    ['Bool', 'aws:SecureTransport', 'true', 'allow'],
    ['Bool', 'aws:SecureTransport', true, 'allow'],
    ['Bool', 'aws:SecureTransport', 'false', 'none'],
    ['Null', KEY, 'true', 'none'],
    ['Null', KEY, 'false', 'allow'],
    ['Null', 'aws:Missing', 'true', 'allow'],
    ['StringEquals', 'aws:Missing', 'x', 'none'],
    ['StringNotEquals', 'aws:Missing', 'x', 'allow'],
    ['ArnNotLike', 'aws:Missing', 'x', 'allow'],
    ['Bool', 'aws:Missing', 'false', 'none'],
    ['BoolIfExists', 'aws:Missing', 'false', 'allow'],
    ['StringEqualsIfExists', KEY, 'x', 'none'],
  ])('%s %s %j: %s', (operator, key, value, verdict) => {
    expect(when(operator, key, value)).toBe(verdict)
  })

  test('all of them must hold', () => {
    const Condition = { Bool: { 'aws:SecureTransport': 'true' }, StringEquals: { 'aws:PrincipalTag/team': 'b' } }
    expect(say({ Condition })).toBe('none')
  })

  test('an operator that is not known here is told, unless the statement is about something else', () => {
    const Condition = { NumericLessThan: { 'aws:MultiFactorAuthAge': '1' } }
    expect(() => say({ Condition })).toThrow('NumericLessThan is not evaluated')
    expect(say({ Condition, Action: 's3:GetObject' })).toBe('none')
  })
})

describe('variables', () => {
  const tag = 'elasticfilesystem:AccessPointArn'
  const expected = 'arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-'

  test('have the value of their key, a default, or none', () => {
    expect(when('StringEquals', tag, `${expected}\${aws:PrincipalTag/team}`)).toBe('allow')
    expect(when('ArnEquals', tag, `${expected}\${aws:PrincipalTag/team}`)).toBe('allow')
    expect(when('StringEquals', tag, `${expected}\${aws:PrincipalTag/other}`)).toBe('none')
    expect(when('StringNotEquals', tag, `${expected}\${aws:PrincipalTag/other}`)).toBe('allow')
    expect(when('StringEquals', tag, `${expected}\${aws:PrincipalTag/other, 'a'}`)).toBe('allow')
    expect(say({ Resource: `${FS}\${aws:PrincipalTag/other}` })).toBe('none')
  })

  test('a value’s own asterisk is no wildcard', () => {
    const context = { ...REQUEST.context, 'aws:principaltag/team': '*' }
    const Condition = { StringLike: { [tag]: `${expected}\${aws:PrincipalTag/team}` } }
    expect(say({ Condition }, { context })).toBe('none')
    expect(say({ Resource: `\${aws:PrincipalTag/team}` }, { context })).toBe('none')
  })

  test('are text in policies of the older version', () => {
    const Condition = { StringEquals: { [tag]: `${expected}\${aws:PrincipalTag/team}` } }
    expect(evaluate(parsePolicy({ Statement: [statement({ Condition })] }), REQUEST, 'identity')).toBe('none')
  })
})

describe('whom a resource policy is about', () => {
  const about = (Principal: unknown, fields: object = {}) => say({ Principal, ...fields }, {}, 'resource')
  test.each([
    ['*', 'allow'],
    [{ AWS: '*' }, 'allow'],
    [{ AWS: ROLE }, 'allow'],
    [{ AWS: ['x', ROLE] }, 'allow'],
    [{ AWS: `${ROLE}b` }, 'none'],
    [{ Service: 'ecs-tasks.amazonaws.com' }, 'none'],
    [undefined, 'none'],
  ])('%j', (principal, verdict) => {
    expect(about(principal)).toBe(verdict)
  })

  test('the account is denied as a whole, but an allow to it is not yet one to its roles', () => {
    expect(about({ AWS: 'arn:aws:iam::000000000000:root' })).toBe('none')
    expect(about({ AWS: '000000000000' }, { Effect: 'Deny' })).toBe('deny')
  })

  test('nobody in particular is everybody only', () => {
    const principal = { kind: 'anonymous' } as const
    expect(say({ Principal: '*' }, { principal }, 'resource')).toBe('allow')
    expect(say({ Principal: { AWS: ROLE } }, { principal }, 'resource')).toBe('none')
  })

  test('NotPrincipal is all others', () => {
    expect(say({ NotPrincipal: { AWS: ROLE }, Effect: 'Deny' }, {}, 'resource')).toBe('none')
    expect(say({ NotPrincipal: { AWS: 'x' }, Effect: 'Deny' }, {}, 'resource')).toBe('deny')
  })
})

test('a policy with an unknown element is refused, not half understood', () => {
  expect(() => parsePolicy({ Statement: [statement({ Conditions: {} })] })).toThrow(/Syntax errors in policy/)
})
