/** The part of the table of grants (grants.ts) that is about tasks, and about what each team's tasks are made of. */
import { ArnFormat, type Stack } from 'aws-cdk-lib'
import { TEAM_TAGS, TEAM_TASK_KINDS } from '../shared/contracts/team-resources.ts'
import type { StageConfig } from './config.ts'
import { physicalName } from './deployment.ts'
import type { DataResources, Grant, Permission, TaskResources, WorkspaceResources } from './resources.ts'

export const runTasks = ({ config, cluster, tasks, placement }: TaskResources & DataResources): Grant<'runTasks'> => ({
  environment: {
    CLUSTER_ARN: cluster.clusterArn,
    AGENT_TASK_DEFINITION: tasks.agent.definitionArn,
    SYNC_TASK_DEFINITION: tasks.sync.definitionArn,
    PREVIEW_TASK_DEFINITION: tasks.preview.definitionArn,
    AGENT_CONTAINER: tasks.agent.container,
    SYNC_CONTAINER: tasks.sync.container,
    PREVIEW_CONTAINER: tasks.preview.container,
    TASK_SUBNETS: placement.subnetIds.join(','),
    TASK_SECURITY_GROUPS: placement.securityGroupIds.join(','),
    PREVIEW_SECURITY_GROUPS: placement.previewSecurityGroupIds.join(','),
    TASK_PUBLIC_IP: placement.publicIp ? 'ENABLED' : 'DISABLED',
    TASK_CAPACITY_PROVIDER: config.taskCapacityProvider,
  },
  permissions: (stack) => [
    {
      actions: ['ecs:RunTask'],
      // Never the stage's own definitions: their role mounts nothing.
      resources: teamDefinitions(stack, config),
      conditions: inCluster(cluster),
      wildcard: "Every team's own families and their revisions, made at run time; stage and kind are fixed.",
    },
    // RunTask copies the tags of the task definition to the task, which is an action of its own (ECS: "Tagging resources on creation").
    onTasks(stack, ['ecs:TagResource'], cluster, { StringEquals: { 'ecs:CreateAction': 'RunTask' } }),
    // Asked for by RegisterTaskDefinition as well as by RunTask.
    {
      actions: ['iam:PassRole'],
      resources: [teamRoles(stack, config), ...Object.values(tasks).map(({ executionRoleArn }) => executionRoleArn)],
      conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
      wildcard:
        'Every team has roles of its own, made at run time; the path is fixed and nothing else is made under it.',
    },
  ],
})

export const stopTasks = ({ cluster }: TaskResources): Grant<'stopTasks'> => ({
  environment: { CLUSTER_ARN: cluster.clusterArn },
  permissions: (stack) => [onTasks(stack, ['ecs:StopTask'], cluster)],
})

export const readTasks = ({ cluster }: TaskResources): Grant<'readTasks'> => ({
  environment: { CLUSTER_ARN: cluster.clusterArn },
  permissions: (stack) => [
    onTasks(stack, ['ecs:DescribeTasks'], cluster),
    {
      actions: ['ecs:ListTasks'],
      resources: ['*'],
      conditions: inCluster(cluster),
      wildcard: 'ListTasks has no resource for Fargate tasks (only container instances); the cluster is its condition.',
    },
  ],
})

/**
 * What may be made for a team is pinned: access points of the one file system that carry the stage's tag, roles under one path and
 * never beyond one boundary, task definitions of the teams' families (ADR-051).
 */
export const teamResources = (resources: DataResources & WorkspaceResources): Grant<'teamResources'> => {
  const { config, fileSystem, teamRoleBoundaryArn } = resources
  return {
    environment: {
      FILE_SYSTEM_ID: fileSystem.id,
      FILE_SYSTEM_ARN: fileSystem.arn,
      TEAM_ROLE_PATH: teamRolePath(config),
      TEAM_NAME_PREFIX: physicalName(config, ''),
      TEAM_ROLE_BOUNDARY: teamRoleBoundaryArn,
    },
    permissions: (stack) => [
      ...accessPoints(stack, config, fileSystem.arn),
      ...roles(stack, config, teamRoleBoundaryArn),
      ...definitions(stack, config),
    ],
  }
}

/** Actions, resources and keys: Service Authorization Reference, "Amazon Elastic File System". */
function accessPoints(stack: Stack, config: StageConfig, fileSystemArn: string): readonly Permission[] {
  const any = stack.formatArn({ service: 'elasticfilesystem', resource: 'access-point', resourceName: '*' })
  return [
    {
      actions: ['elasticfilesystem:CreateAccessPoint'],
      resources: [fileSystemArn],
      conditions: { StringEquals: { [`aws:RequestTag/${TEAM_TAGS.stage}`]: config.stage } },
    },
    { actions: ['elasticfilesystem:DescribeAccessPoints'], resources: [fileSystemArn] },
    {
      actions: ['elasticfilesystem:TagResource'],
      resources: [any],
      conditions: { StringEquals: { 'elasticfilesystem:CreateAction': 'CreateAccessPoint' } },
      wildcard: 'Ids of access points are made by EFS at run time; tags can be given only while one is made.',
    },
    {
      actions: ['elasticfilesystem:DescribeAccessPoints', 'elasticfilesystem:DeleteAccessPoint'],
      resources: [any],
      conditions: { StringEquals: { [`aws:ResourceTag/${TEAM_TAGS.stage}`]: config.stage } },
      wildcard: "Ids of access points are made by EFS at run time; the tag says that it is this stage's.",
    },
  ]
}

/** Keys: IAM User Guide, "Permissions boundaries for IAM entities", "Delegating responsibility to others". */
function roles(stack: Stack, config: StageConfig, boundaryArn: string): readonly Permission[] {
  const wildcard =
    'Every team has roles of its own, made at run time; the path is fixed and nothing else is made under it.'
  return [
    {
      actions: ['iam:CreateRole', 'iam:PutRolePolicy'],
      resources: [teamRoles(stack, config)],
      conditions: { StringEquals: { 'iam:PermissionsBoundary': boundaryArn } },
      wildcard,
    },
    {
      actions: ['iam:DeleteRole', 'iam:DeleteRolePolicy', 'iam:GetRole', 'iam:TagRole'],
      resources: [teamRoles(stack, config)],
      wildcard,
    },
  ]
}

/** Service Authorization Reference, "Amazon Elastic Container Service": only registering knows a resource. */
function definitions(stack: Stack, config: StageConfig): readonly Permission[] {
  const wildcard = "Every team's own families and their revisions, made at run time; stage and kind are fixed."
  return [
    { actions: ['ecs:RegisterTaskDefinition'], resources: teamDefinitions(stack, config), wildcard },
    {
      actions: ['ecs:TagResource'],
      resources: teamDefinitions(stack, config),
      conditions: { StringEquals: { 'ecs:CreateAction': 'RegisterTaskDefinition' } },
      wildcard,
    },
    {
      actions: ['ecs:DescribeTaskDefinition', 'ecs:DeregisterTaskDefinition', 'ecs:ListTaskDefinitions'],
      resources: ['*'],
      wildcard:
        'These three know neither a resource nor a condition key. A deregistered definition is registered again when it is needed.',
    },
  ]
}

/** `/covibes/<stage>/teams/`: begins and ends with a slash, as IAM's paths do. */
function teamRolePath({ stage }: StageConfig): string {
  return `/covibes/${stage}/teams/`
}

function teamRoles(stack: Stack, config: StageConfig): string {
  const name = `${teamRolePath(config).slice(1)}${physicalName(config, '*')}`
  return stack.formatArn({ service: 'iam', region: '', resource: 'role', resourceName: name })
}

/** With the kind in it: `covibes-dev-*` would be the families of a stage named `dev-2`, too. */
function teamDefinitions(stack: Stack, config: StageConfig): readonly string[] {
  return TEAM_TASK_KINDS.map((kind) =>
    stack.formatArn({
      service: 'ecs',
      resource: 'task-definition',
      resourceName: `${physicalName(config, kind)}-*:*`,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    }),
  )
}

function inCluster(cluster: TaskResources['cluster']) {
  return { ArnEquals: { 'ecs:cluster': cluster.clusterArn } }
}

/** Actions on the tasks of one cluster: by their ARNs, which name it, and by the condition unless another one is given. */
function onTasks(
  stack: Stack,
  actions: readonly string[],
  cluster: TaskResources['cluster'],
  conditions: NonNullable<Permission['conditions']> = inCluster(cluster),
): Permission {
  return {
    actions,
    resources: [stack.formatArn({ service: 'ecs', resource: 'task', resourceName: `${cluster.clusterName}/*` })],
    conditions,
    wildcard: 'Task ids are made by ECS at run time; the cluster is fixed.',
  }
}
