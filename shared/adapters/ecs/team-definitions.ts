import {
  DeregisterTaskDefinitionCommand,
  DescribeTaskDefinitionCommand,
  ECSClient,
  ListTaskDefinitionsCommand,
  RegisterTaskDefinitionCommand,
  type TaskDefinition,
  type Volume,
} from '@aws-sdk/client-ecs'
import { TEAM_MOUNTS, type TeamTaskKind } from '../../contracts/team-resources.ts'
import { NotPossible, type PerAccessPoint, type TaskDefinitions } from '../../domain/teams/ports.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'
import { asServiceError, isRefusal, isRoleNotSeenYet } from '../service-errors.ts'
import { teamResourceName, teamTags } from '../team-names.ts'

export interface DefinitionSettings {
  readonly STAGE: string
  readonly AGENT_TASK_DEFINITION: string
  readonly SYNC_TASK_DEFINITION: string
  readonly PREVIEW_TASK_DEFINITION: string
  readonly AGENT_CONTAINER: string
  readonly SYNC_CONTAINER: string
  readonly PREVIEW_CONTAINER: string
  readonly FILE_SYSTEM_ID: string
  readonly TEAM_NAME_PREFIX: string
}

const LIST_PAGE = 100

/** The task definitions of teams: copies of the stage's own, with the team's access points and role in them. */
export function createTaskDefinitions(settings: DefinitionSettings): TaskDefinitions {
  const client = new ECSClient(AWS_CLIENT_DEFAULTS)
  const bases: Readonly<Record<TeamTaskKind, string>> = {
    agent: settings.AGENT_TASK_DEFINITION,
    sync: settings.SYNC_TASK_DEFINITION,
    preview: settings.PREVIEW_TASK_DEFINITION,
  }
  const containers: Readonly<Record<TeamTaskKind, string>> = {
    agent: settings.AGENT_CONTAINER,
    sync: settings.SYNC_CONTAINER,
    preview: settings.PREVIEW_CONTAINER,
  }
  const familyOf = (kind: TeamTaskKind, teamId: string) => teamResourceName(settings.TEAM_NAME_PREFIX, kind, teamId)

  return {
    baseOf: (kind) => bases[kind],
    containerOf: (kind) => containers[kind],

    register: (kind, owner, { accessPointIds, roleArn }) =>
      told(async () => {
        const base = bases[kind]
        const { taskDefinition } = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: base }))
        if (!taskDefinition?.containerDefinitions) throw new NotPossible(`ECS: ${base} has no containers`)
        const registered = await client.send(
          new RegisterTaskDefinitionCommand({
            ...copied(taskDefinition),
            containerDefinitions: taskDefinition.containerDefinitions,
            family: familyOf(kind, owner.teamId),
            taskRoleArn: roleArn,
            volumes: withAccessPoints(kind, taskDefinition.volumes ?? [], settings.FILE_SYSTEM_ID, accessPointIds),
            tags: Object.entries(teamTags(owner, settings.STAGE)).map(([key, value]) => ({ key, value })),
          }),
        )
        const arn = registered.taskDefinition?.taskDefinitionArn
        if (!arn) throw new Error('ECS answered without the ARN of the definition it has registered')
        return { arn, base }
      }),

    deregisterOthers: (kind, { teamId }, keep) =>
      told(async () => {
        let nextToken: string | undefined
        do {
          const page = await client.send(
            new ListTaskDefinitionsCommand({
              familyPrefix: familyOf(kind, teamId),
              status: 'ACTIVE',
              maxResults: LIST_PAGE,
              ...(nextToken ? { nextToken } : {}),
            }),
          )
          for (const taskDefinition of page.taskDefinitionArns ?? [])
            if (taskDefinition !== keep) await client.send(new DeregisterTaskDefinitionCommand({ taskDefinition }))
          nextToken = page.nextToken
        } while (nextToken)
      }),
  }
}

/** What DescribeTaskDefinition tells and RegisterTaskDefinition takes: the rest is ECS's own (API reference of both). */
function copied({
  taskDefinitionArn: _arn,
  family: _family,
  revision: _revision,
  status: _status,
  taskRoleArn: _taskRole,
  requiresAttributes: _attributes,
  compatibilities: _compatibilities,
  registeredAt: _registeredAt,
  registeredBy: _registeredBy,
  deregisteredAt: _deregisteredAt,
  deleteRequestedAt: _deleteRequestedAt,
  ...input
}: TaskDefinition) {
  return input
}

function withAccessPoints(
  kind: TeamTaskKind,
  volumes: readonly Volume[],
  fileSystemId: string,
  accessPointIds: PerAccessPoint,
): Volume[] {
  const mounts = new Map(TEAM_MOUNTS[kind].map(({ volume, accessPoint }) => [volume, accessPointIds[accessPoint]]))
  for (const volume of mounts.keys())
    if (!volumes.some(({ name }) => name === volume))
      throw new NotPossible(`the stage's task definition has no volume ${volume}`)
  return volumes.map((volume) => {
    const name = volume.name ?? ''
    if (!mounts.has(name)) return volume
    const accessPointId = mounts.get(name)
    if (accessPointId === undefined) throw new Error(`no access point for the volume ${name} of ${kind}`)
    return {
      name,
      efsVolumeConfiguration: {
        fileSystemId,
        transitEncryption: 'ENABLED',
        // The task's role decides, and the access point is the root.
        authorizationConfig: { accessPointId, iam: 'ENABLED' },
      },
    }
  })
}

async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const said = asServiceError(error)
    // Two registrations of one family at a moment (seen by many clients; in no documentation).
    const passes = isRoleNotSeenYet(said) || /too many concurrent attempts/i.test(said.message)
    if (error instanceof NotPossible || passes || !isRefusal(said)) throw error
    throw new NotPossible(`ECS: ${said.name}: ${said.message}`, { cause: error })
  }
}
