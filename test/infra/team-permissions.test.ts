/**
 * What the function that makes things for teams may make, pass and delete: pinned by paths, tags, boundary and conditions, so that
 * whoever takes it over reaches nothing but what teams have anyway. Decided by the template's own policies.
 */
import { describe, expect, it } from 'vitest'
import { type CloudAssembly, loadAssembly } from '../../local/assembly/cloud-assembly.ts'
import { type FunctionId, functions } from '../../shared/contracts/functions.ts'
import { TEAM_TAGS } from '../../shared/contracts/team-resources.ts'
import { needsOf, permissionsOf, type Stored } from './support/permissions.ts'
import { assembled } from './support/synthesized.ts'

const assembly: CloudAssembly = assembled('local', (directory) =>
  loadAssembly(directory, { endpoints: { api: () => 'http://unused' } }),
)
const variablesOf = (id: FunctionId) => {
  const found = assembly.resources.find(({ properties }) => properties.FunctionName === `covibes-local-${id}`)
  if (found === undefined) throw new Error(`No function ${id} in the assembly`)
  return (found.properties.Environment as { Variables: Record<string, string> }).Variables
}
const { FILE_SYSTEM_ID, TEAM_ROLE_PATH, TEAM_ROLE_BOUNDARY, CLUSTER_ARN, AGENT_TASK_DEFINITION } =
  variablesOf('on-work')
const allowed = permissionsOf(assembly)
const arn = (service: string, resource: string, region = 'us-east-1') =>
  `arn:aws:${service}:${region}:000000000000:${resource}`

const STAGE_TAG = [{ Key: TEAM_TAGS.stage, Value: 'local' }]
const TEAM_ROLE = arn('iam', `role${TEAM_ROLE_PATH}covibes-local-agent-0123456789abcdef`, '')
const ADMIN_ROLE = arn('iam', 'role/Admin', '')
const EXECUTION_ROLE = assembly.resources.find(
  ({ type, logicalId }) => type === 'AWS::IAM::Role' && logicalId.startsWith('AgentTaskExecutionRole'),
)?.arn

/** Whether on-work may make a call; `stored` is what it is about. */
function mayCall(
  service: string,
  operation: string,
  input: Record<string, unknown>,
  stored?: Partial<Stored>,
): boolean {
  const known: Stored = {
    tagsOf: () => [],
    role: () => ({ arn: TEAM_ROLE, boundaryArn: TEAM_ROLE_BOUNDARY }),
    ...stored,
  }
  return needsOf({ service, operation, input }, known).every((needed) => allowed('covibes-local-on-work', needed))
}

describe('access points', () => {
  const made = { FileSystemId: FILE_SYSTEM_ID, ClientToken: 't', Tags: STAGE_TAG }

  it("can be made on the stage's file system with the stage's tag, and not otherwise", () => {
    expect(mayCall('efs', 'CreateAccessPoint', made)).toBe(true)
    expect(mayCall('efs', 'CreateAccessPoint', { ...made, FileSystemId: 'fs-other' })).toBe(false)
    expect(mayCall('efs', 'CreateAccessPoint', { ...made, Tags: undefined })).toBe(false)
    expect(mayCall('efs', 'CreateAccessPoint', { ...made, Tags: [{ Key: TEAM_TAGS.stage, Value: 'dev' }] })).toBe(false)
  })

  it('can be seen and deleted when they carry it, and no other', () => {
    for (const operation of ['DeleteAccessPoint', 'DescribeAccessPoints']) {
      expect(mayCall('efs', operation, { AccessPointId: 'fsap-1' }, { tagsOf: () => STAGE_TAG })).toBe(true)
      expect(mayCall('efs', operation, { AccessPointId: 'fsap-1' })).toBe(false)
    }
    expect(mayCall('efs', 'DescribeAccessPoints', { FileSystemId: FILE_SYSTEM_ID })).toBe(true)
  })

  it('can be tagged only while they are made', () => {
    const tag = { action: 'elasticfilesystem:TagResource', resource: arn('elasticfilesystem', 'access-point/fsap-1') }
    const with_ = (context: Record<string, string>) => allowed('covibes-local-on-work', { ...tag, context })
    expect(with_({ 'elasticfilesystem:CreateAction': 'CreateAccessPoint' })).toBe(true)
    expect(with_({})).toBe(false)
  })
})

describe('roles', () => {
  const made = {
    RoleName: 'covibes-local-agent-0123456789abcdef',
    Path: TEAM_ROLE_PATH,
    PermissionsBoundary: TEAM_ROLE_BOUNDARY,
    Tags: STAGE_TAG,
  }

  it("can be made under the stage's path within the boundary, and not otherwise", () => {
    expect(mayCall('iam', 'CreateRole', made)).toBe(true)
    expect(mayCall('iam', 'CreateRole', { ...made, PermissionsBoundary: undefined })).toBe(false)
    expect(
      mayCall('iam', 'CreateRole', { ...made, PermissionsBoundary: 'arn:aws:iam::aws:policy/AdministratorAccess' }),
    ).toBe(false)
    expect(mayCall('iam', 'CreateRole', { ...made, Path: '/' })).toBe(false)
    expect(mayCall('iam', 'CreateRole', { ...made, Path: '/covibes/production/teams/' })).toBe(false)
    expect(mayCall('iam', 'CreateRole', { ...made, RoleName: 'Admin' })).toBe(false)
  })

  it.each(['PutRolePolicy', 'GetRole', 'TagRole', 'DeleteRolePolicy', 'DeleteRole'])(
    '%s is for roles under the path',
    (operation) => {
      expect(mayCall('iam', operation, made)).toBe(true)
      expect(
        mayCall('iam', operation, made, { role: () => ({ arn: ADMIN_ROLE, boundaryArn: TEAM_ROLE_BOUNDARY }) }),
      ).toBe(false)
    },
  )

  it('get no policy when they have lost the boundary', () => {
    expect(mayCall('iam', 'PutRolePolicy', made, { role: () => ({ arn: TEAM_ROLE }) })).toBe(false)
  })

  it.each([
    'iam:PutRolePermissionsBoundary',
    'iam:DeleteRolePermissionsBoundary',
    'iam:AttachRolePolicy',
    'iam:UpdateAssumeRolePolicy',
  ])('%s is nowhere allowed', (action) => {
    const context = { 'iam:PermissionsBoundary': TEAM_ROLE_BOUNDARY ?? '' }
    expect(allowed('covibes-local-on-work', { action, resource: TEAM_ROLE, context })).toBe(false)
  })
})

describe('task definitions', () => {
  const made = {
    family: 'covibes-local-agent-0123456789abcdef',
    taskRoleArn: TEAM_ROLE,
    executionRoleArn: EXECUTION_ROLE,
    tags: [],
  }

  it("can be registered in the teams' families with the teams' roles, and not otherwise", () => {
    expect(mayCall('ecs', 'RegisterTaskDefinition', made)).toBe(true)
    for (const kind of ['sync', 'preview']) {
      const family = `covibes-local-${kind}-0123456789abcdef`
      expect(mayCall('ecs', 'RegisterTaskDefinition', { ...made, family })).toBe(true)
    }
    expect(mayCall('ecs', 'RegisterTaskDefinition', { ...made, family: 'covibes-local-agent' })).toBe(false)
    expect(mayCall('ecs', 'RegisterTaskDefinition', { ...made, family: 'covibes-local-2-agent-0123' })).toBe(false)
    expect(mayCall('ecs', 'RegisterTaskDefinition', { ...made, taskRoleArn: ADMIN_ROLE })).toBe(false)
    expect(mayCall('ecs', 'RegisterTaskDefinition', { ...made, executionRoleArn: ADMIN_ROLE })).toBe(false)
  })

  it("can be run in the stage's cluster when they are teams', and not otherwise", () => {
    const run = {
      cluster: CLUSTER_ARN,
      taskDefinition: arn('ecs', `task-definition/${made.family}:3`),
      propagateTags: 'TASK_DEFINITION',
    }
    expect(mayCall('ecs', 'RunTask', run)).toBe(true)
    expect(mayCall('ecs', 'RunTask', { ...run, taskDefinition: AGENT_TASK_DEFINITION })).toBe(false)
    expect(mayCall('ecs', 'RunTask', { ...run, taskDefinition: arn('ecs', 'task-definition/other:1') })).toBe(false)
    expect(mayCall('ecs', 'RunTask', { ...run, cluster: arn('ecs', 'cluster/other') })).toBe(false)
  })

  it("are not the gateway's, which is nobody's but the service's to run", () => {
    const [gateway] = assembly.ofType('AWS::ECS::Service')
    const family = /task-definition\/(.+):\d+$/.exec(String(gateway?.properties.TaskDefinition))?.[1]
    expect(family).toMatch(/gateway/)
    expect(mayCall('ecs', 'RegisterTaskDefinition', { ...made, family })).toBe(false)
    const taskDefinition = gateway?.properties.TaskDefinition
    expect(mayCall('ecs', 'RunTask', { cluster: CLUSTER_ARN, taskDefinition })).toBe(false)
  })

  it('are tagged, as tasks are, only while they are made', () => {
    const tag = (resource: string, CreateAction: string) =>
      allowed('covibes-local-on-work', {
        action: 'ecs:TagResource',
        resource,
        context: { 'ecs:CreateAction': CreateAction },
      })
    const definition = arn('ecs', `task-definition/${made.family}:1`)
    const task = arn('ecs', `task/${CLUSTER_ARN?.split('/').at(-1)}/0123`)
    expect([
      tag(definition, 'RegisterTaskDefinition'),
      tag(definition, ''),
      tag(task, 'RunTask'),
      tag(task, ''),
    ]).toEqual([true, false, true, false])
  })
})

describe('passing roles', () => {
  const pass = (resource: string | undefined, service: string) =>
    allowed('covibes-local-on-work', {
      action: 'iam:PassRole',
      resource: resource ?? '',
      context: { 'iam:PassedToService': service },
    })

  it("is for teams' and execution roles, to tasks only", () => {
    expect(pass(TEAM_ROLE, 'ecs-tasks.amazonaws.com')).toBe(true)
    expect(pass(EXECUTION_ROLE, 'ecs-tasks.amazonaws.com')).toBe(true)
    expect(pass(TEAM_ROLE, 'lambda.amazonaws.com')).toBe(false)
    expect(pass(ADMIN_ROLE, 'ecs-tasks.amazonaws.com')).toBe(false)
    expect(pass(arn('iam', 'role/covibes/dev/teams/covibes-dev-agent-0123', ''), 'ecs-tasks.amazonaws.com')).toBe(false)
  })
})

describe('secrets of teams', () => {
  const secret = (name: string) => arn('secretsmanager', `secret:covibes/local/teams/t1/${name}-AbCdEf`)
  const may = (id: FunctionId, action: string, name: string) =>
    allowed(`covibes-local-${id}`, { action: `secretsmanager:${action}`, resource: secret(name), context: {} })

  it('can be asked for before they are made: then IAM decides on the name as it was asked for', () => {
    const bare = (name: string) => arn('secretsmanager', `secret:covibes/local/teams/t1/${name}`)
    const mayAsk = (id: FunctionId, action: string, name: string) =>
      allowed(`covibes-local-${id}`, { action: `secretsmanager:${action}`, resource: bare(name), context: {} })
    expect(mayAsk('on-link-message', 'GetSecretValue', 'model-key')).toBe(true)
    expect(mayAsk('on-link-message', 'GetSecretValue', 'git-credentials')).toBe(true)
    expect(mayAsk('on-work', 'DeleteSecret', 'git-credentials')).toBe(true)
    expect(mayAsk('on-link-message', 'GetSecretValue', 'model-key-of-another')).toBe(false)
  })

  it('are read by the function that hands them to their containers, and by no other', () => {
    for (const name of ['model-key', 'git-credentials']) {
      const readers = Object.keys(functions).filter((id) => may(id as FunctionId, 'GetSecretValue', name))
      expect(readers).toEqual(['on-link-message'])
    }
  })

  it('are deleted by the function that removes teams, and no other secret is', () => {
    expect(may('on-work', 'DeleteSecret', 'model-key')).toBe(true)
    expect(may('on-work', 'DeleteSecret', 'git-credentials')).toBe(true)
    expect(may('on-work', 'DeleteSecret', 'other')).toBe(false)
    const resource = arn('secretsmanager', 'secret:covibes/local/jwt-secret-AbCdEf')
    expect(allowed('covibes-local-on-work', { action: 'secretsmanager:DeleteSecret', resource, context: {} })).toBe(
      false,
    )
  })
})

describe('what is made for teams', () => {
  it('is made by one function only', () => {
    const makers = Object.entries(functions).filter(([, { uses }]) =>
      (uses as readonly string[]).includes('teamResources'),
    )
    expect(makers.map(([id]) => id)).toEqual(['on-work'])
  })
})
