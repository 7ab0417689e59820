import {
  ConcurrentModificationException,
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  EntityAlreadyExistsException,
  EntityTemporarilyUnmodifiableException,
  GetRoleCommand,
  IAMClient,
  NoSuchEntityException,
  PutRolePolicyCommand,
  type Role,
} from '@aws-sdk/client-iam'
import { TEAM_MOUNTS, TEAM_TAGS, type TeamTaskKind } from '../../contracts/team-resources.ts'
import { NotPossible, type Owner, type PerAccessPoint, type TeamRoles } from '../../domain/teams/ports.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'
import { asServiceError, isRefusal } from '../service-errors.ts'
import { teamResourceName, teamTags } from '../team-names.ts'

export interface TeamRoleSettings {
  readonly STAGE: string
  readonly FILE_SYSTEM_ARN: string
  readonly TEAM_ROLE_PATH: string
  readonly TEAM_NAME_PREFIX: string
  readonly TEAM_ROLE_BOUNDARY: string
}

const POLICY = 'mount-own-access-point'

/** Roles of teams' tasks: each may mount its kind's access points, and nothing else. */
export function createTeamRoles(settings: TeamRoleSettings): TeamRoles {
  const client = new IAMClient(AWS_CLIENT_DEFAULTS)
  const { STAGE, FILE_SYSTEM_ARN, TEAM_ROLE_PATH, TEAM_NAME_PREFIX, TEAM_ROLE_BOUNDARY } = settings
  const nameOf = (kind: TeamTaskKind, { teamId }: Owner) => teamResourceName(TEAM_NAME_PREFIX, kind, teamId)

  async function find(RoleName: string): Promise<Role | undefined> {
    try {
      return (await client.send(new GetRoleCommand({ RoleName }))).Role
    } catch (error) {
      if (error instanceof NoSuchEntityException) return undefined
      throw error
    }
  }

  async function createOrFind(kind: TeamTaskKind, owner: Owner, accessPointArn: string): Promise<Role | undefined> {
    const RoleName = nameOf(kind, owner)
    try {
      const { Role } = await client.send(
        new CreateRoleCommand({
          RoleName,
          Path: TEAM_ROLE_PATH,
          PermissionsBoundary: TEAM_ROLE_BOUNDARY,
          Description: `Covibes: the ${kind} tasks of a team mount their part of its files`,
          AssumeRolePolicyDocument: JSON.stringify(trust(FILE_SYSTEM_ARN)),
          Tags: Object.entries({ ...teamTags(owner, STAGE), [TEAM_TAGS.accessPoint]: accessPointArn }).map(
            ([Key, Value]) => ({ Key, Value }),
          ),
        }),
      )
      return Role
    } catch (error) {
      if (!(error instanceof EntityAlreadyExistsException)) throw error
      const role = await find(RoleName)
      if (role && !isOwnedBy(role, owner, accessPointArn))
        throw new NotPossible(`the role ${RoleName} is left of an earlier environment of the team; delete it`)
      return role
    }
  }

  return {
    create: (kind, owner, accessPointArns) =>
      told(async () => {
        const own = accessPointArns[kind]
        if (own === undefined) throw new Error(`no access point of ${kind} for its role`)
        const role = await createOrFind(kind, owner, own)
        if (!role?.Arn) throw new Error('IAM has made the role and does not show it yet')
        await client.send(
          new PutRolePolicyCommand({
            RoleName: nameOf(kind, owner),
            PolicyName: POLICY,
            PolicyDocument: JSON.stringify(mayMount(kind, FILE_SYSTEM_ARN, accessPointArns)),
          }),
        )
        return { arn: role.Arn }
      }),

    delete: (kind, owner) =>
      told(async () => {
        const RoleName = nameOf(kind, owner)
        const role = await find(RoleName)
        if (!role || !isOwnedBy(role, owner)) return
        await ifThere(() => client.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: POLICY })))
        await ifThere(() => client.send(new DeleteRoleCommand({ RoleName })))
      }),
  }
}

function isOwnedBy({ Tags = [] }: Role, { incarnation }: Owner, accessPointArn?: string): boolean {
  const tags = new Map(Tags.map(({ Key, Value }) => [Key, Value]))
  if (tags.get(TEAM_TAGS.incarnation) !== incarnation) return false
  return accessPointArn === undefined || tags.get(TEAM_TAGS.accessPoint) === accessPointArn
}

/** Assumed by ECS for tasks of this account only (the confused deputy: ECS's "Amazon ECS task IAM role" page). */
function trust(fileSystemArn: string) {
  const [, partition, , region, account] = fileSystemArn.split(':')
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Service: 'ecs-tasks.amazonaws.com' },
        Action: 'sts:AssumeRole',
        Condition: {
          StringEquals: { 'aws:SourceAccount': account },
          ArnLike: { 'aws:SourceArn': `arn:${partition}:ecs:${region}:${account}:*` },
        },
      },
    ],
  }
}

/** EFS evaluates it at each mount, with the access point that is mounted through; without ClientWrite the mount is read-only. */
const mayMount = (kind: TeamTaskKind, fileSystemArn: string, accessPointArns: PerAccessPoint) => ({
  Version: '2012-10-17',
  Statement: TEAM_MOUNTS[kind].map(({ accessPoint, isWritable }) => {
    const arn = accessPointArns[accessPoint]
    if (arn === undefined) throw new Error(`no access point ${accessPoint} for the role of ${kind}`)
    return {
      Effect: 'Allow',
      Action: ['elasticfilesystem:ClientMount', ...(isWritable ? ['elasticfilesystem:ClientWrite'] : [])],
      Resource: fileSystemArn,
      Condition: { StringEquals: { 'elasticfilesystem:AccessPointArn': arn } },
    }
  }),
})

async function ifThere(call: () => Promise<unknown>): Promise<void> {
  try {
    await call()
  } catch (error) {
    if (!(error instanceof NoSuchEntityException)) throw error
  }
}

async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const passes =
      // A role that was just made is not there for every one of IAM's servers yet.
      error instanceof NoSuchEntityException ||
      error instanceof ConcurrentModificationException ||
      error instanceof EntityTemporarilyUnmodifiableException
    const said = asServiceError(error)
    if (error instanceof NotPossible || passes || !isRefusal(said)) throw error
    throw new NotPossible(`IAM: ${said.name}: ${said.message}`, { cause: error })
  }
}
