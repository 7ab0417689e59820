import { describe, expect, it } from 'vitest'
import type { CloudAssembly } from '../../local/assembly/cloud-assembly.ts'
import { needsOf, permissionsOf } from './support/permissions.ts'

const arn = (service: string, resource: string) => `arn:aws:${service}:us-east-1:000000000000:${resource}`

/** An assembly with one function `f` whose role has these statements. */
function assemblyWith(...Statement: object[]): CloudAssembly {
  const resources = [
    { type: 'AWS::Lambda::Function', properties: { FunctionName: 'f', Role: 'arn:aws:iam::000000000000:role/f-role' } },
    { type: 'AWS::IAM::Policy', properties: { Roles: ['f-role'], PolicyDocument: { Statement } } },
    { type: 'AWS::IAM::Policy', properties: { Roles: ['other'], PolicyDocument: { Statement: [everything] } } },
  ]
  return { resources } as unknown as CloudAssembly
}
const everything = { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: '*' }

describe('needsOf', () => {
  it('asks for each part of a transaction, on its table', () => {
    const input = { TransactItems: [{ Put: { TableName: 'a' } }, { ConditionCheck: { TableName: 'b' } }] }
    expect(needsOf({ service: 'dynamodb', operation: 'TransactWriteItems', input })).toEqual([
      { action: 'dynamodb:PutItem', resource: arn('dynamodb', 'table/a'), context: {} },
      { action: 'dynamodb:ConditionCheckItem', resource: arn('dynamodb', 'table/b'), context: {} },
    ])
  })

  it('asks for the index that is queried', () => {
    const input = { TableName: 'a', IndexName: 'by-status' }
    expect(needsOf({ service: 'dynamodb', operation: 'Query', input })).toMatchObject([
      { resource: arn('dynamodb', 'table/a/index/by-status') },
    ])
  })

  it('asks for TagResource when RunTask copies tags', () => {
    const input = { cluster: arn('ecs', 'cluster/c'), taskDefinition: 'd', propagateTags: 'TASK_DEFINITION' }
    expect(needsOf({ service: 'ecs', operation: 'RunTask', input }).map(({ action }) => action)).toEqual([
      'ecs:RunTask',
      'ecs:TagResource',
    ])
  })

  it('asks for the roles that a task definition passes', () => {
    const input = { family: 'f', taskRoleArn: 'task', executionRoleArn: 'execution', tags: [] }
    expect(needsOf({ service: 'ecs', operation: 'RegisterTaskDefinition', input })).toEqual([
      { action: 'ecs:RegisterTaskDefinition', resource: arn('ecs', 'task-definition/f:*'), context: {} },
      {
        action: 'ecs:TagResource',
        resource: arn('ecs', 'task-definition/f:*'),
        context: { 'ecs:CreateAction': 'RegisterTaskDefinition' },
      },
      ...['task', 'execution'].map((resource) => ({
        action: 'iam:PassRole',
        resource,
        context: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
      })),
    ])
  })

  it('asks with what is stored: the tags of an access point, the path and boundary of a role', () => {
    const stored = {
      tagsOf: () => [{ Key: 'k', Value: 'v' }],
      role: (name: string) => ({ arn: `arn:aws:iam::000000000000:role/path/${name}`, boundaryArn: 'boundary' }),
    }
    const point = { AccessPointId: 'fsap-1' }
    expect(needsOf({ service: 'efs', operation: 'DeleteAccessPoint', input: point }, stored)).toEqual([
      {
        action: 'elasticfilesystem:DeleteAccessPoint',
        resource: arn('elasticfilesystem', 'access-point/fsap-1'),
        context: { 'aws:ResourceTag/k': 'v' },
      },
    ])
    expect(needsOf({ service: 'iam', operation: 'PutRolePolicy', input: { RoleName: 'r' } }, stored)).toEqual([
      {
        action: 'iam:PutRolePolicy',
        resource: 'arn:aws:iam::000000000000:role/path/r',
        context: { 'iam:PermissionsBoundary': 'boundary' },
      },
    ])
  })

  it('knows no operation that it was not told', () => {
    expect(() => needsOf({ service: 'ecs', operation: 'DeleteCluster', input: {} })).toThrow('DeleteCluster')
    expect(() => needsOf({ service: 'efs', operation: 'PutFileSystemPolicy', input: {} })).toThrow(
      'PutFileSystemPolicy',
    )
    expect(() => needsOf({ service: 'iam', operation: 'AttachRolePolicy', input: {} })).toThrow('AttachRolePolicy')
    expect(() => needsOf({ service: 's3', operation: 'GetObject', input: {} })).toThrow('s3')
  })
})

describe('permissionsOf', () => {
  const send = { action: 'sqs:SendMessage', resource: arn('sqs', 'work'), context: {} }

  it('allows what a statement of the own role names, and nothing else', () => {
    const allowed = permissionsOf(assemblyWith({ ...everything, Resource: [arn('sqs', 'work')] }))
    expect(allowed('f', send)).toBe(true)
    expect(allowed('f', { ...send, resource: arn('sqs', 'works') })).toBe(false)
    expect(allowed('f', { ...send, action: 'sqs:DeleteMessage' })).toBe(false)
    expect(permissionsOf(assemblyWith())('f', send)).toBe(false)
  })

  it('matches wildcards as IAM does', () => {
    const Resource = arn('sqs', 'teams/*/key-??')
    const allowed = permissionsOf(assemblyWith({ ...everything, Resource }))
    const on = (name: string) => allowed('f', { ...send, resource: arn('sqs', name) })
    expect([on('teams/a/key-12'), on('teams/a/key-1'), on('team/a/key-12')]).toEqual([true, false, false])
  })

  it('holds conditions against what the call brings', () => {
    const Condition = { ArnEquals: { 'ecs:cluster': 'mine' } }
    const allowed = permissionsOf(assemblyWith({ ...everything, Condition }))
    const inCluster = (cluster: string) => allowed('f', { ...send, context: { 'ecs:cluster': cluster } })
    expect([inCluster('mine'), inCluster('yours'), allowed('f', send)]).toEqual([true, false, false])
    const unknown = permissionsOf(assemblyWith({ ...everything, Condition: { IpAddress: {} } }))
    expect(() => unknown('f', send)).toThrow('IpAddress')
  })
})
