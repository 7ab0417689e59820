import {
  AccessPointAlreadyExists,
  type AccessPointDescription,
  AccessPointNotFound,
  CreateAccessPointCommand,
  DeleteAccessPointCommand,
  DescribeAccessPointsCommand,
  EFSClient,
} from '@aws-sdk/client-efs'
import { CONTAINER_USER } from '../../contracts/limits.ts'
import { TEAM_FILES } from '../../contracts/link.ts'
import type { TeamAccessPoint } from '../../contracts/team-resources.ts'
import { type AccessPoints, NotPossible } from '../../domain/teams/ports.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'
import { asServiceError, isRefusal } from '../service-errors.ts'
import { teamTags } from '../team-names.ts'

export interface FileSystemSettings {
  readonly STAGE: string
  readonly FILE_SYSTEM_ID: string
}

/** At most 64 characters: an incarnation is a UUID. */
const tokenOf = (name: TeamAccessPoint, incarnation: string): string => `${incarnation}-${name}`

/**
 * What is seen through each. EFS takes at most 100 characters and four folders. The cache lies beside the shared files, so that agents
 * cannot reach it, and below sync's root, so that it goes with the team's files.
 */
const ROOTS: Readonly<Record<TeamAccessPoint, (teamId: string) => string>> = {
  agent: (teamId) => `/teams/${teamId}/${TEAM_FILES.shared}`,
  preview: (teamId) => `/teams/${teamId}/${TEAM_FILES.shared}`,
  sync: (teamId) => `/teams/${teamId}`,
  cache: (teamId) => `/teams/${teamId}/${TEAM_FILES.cache}`,
}

const LIST_PAGE = 100
/** 4xx that end by themselves: the file system is being changed. */
const PASSING: readonly string[] = ['IncorrectFileSystemLifeCycleState', 'ConflictException', 'DependencyTimeout']

/** Access points of the stage's file system. Idempotent by EFS's client token, which names the incarnation. */
export function createAccessPoints(settings: FileSystemSettings): AccessPoints {
  const client = new EFSClient(AWS_CLIENT_DEFAULTS)
  const { STAGE, FILE_SYSTEM_ID: FileSystemId } = settings

  async function describe(AccessPointId: string): Promise<AccessPointDescription> {
    const { AccessPoints: [found] = [] } = await client.send(new DescribeAccessPointsCommand({ AccessPointId }))
    if (!found) throw new NotPossible(`EFS does not know the access point ${AccessPointId}`)
    return found
  }

  return {
    async create(name, owner) {
      try {
        return madeOf(
          await client.send(
            new CreateAccessPointCommand({
              ClientToken: tokenOf(name, owner.incarnation),
              FileSystemId,
              PosixUser: { Uid: CONTAINER_USER.uid, Gid: CONTAINER_USER.gid },
              RootDirectory: {
                Path: ROOTS[name](owner.teamId),
                CreationInfo: { OwnerUid: CONTAINER_USER.uid, OwnerGid: CONTAINER_USER.gid, Permissions: '0750' },
              },
              Tags: [
                { Key: 'Name', Value: `${owner.teamId} ${name}` },
                ...Object.entries(teamTags(owner, STAGE)).map(([Key, Value]) => ({ Key, Value })),
              ],
            }),
          ),
        )
      } catch (error) {
        // An earlier call's answer was lost: EFS says which one that token has made.
        if (error instanceof AccessPointAlreadyExists && error.AccessPointId)
          return told(async () => madeOf(await describe(error.AccessPointId as string)))
        throw sorted(error)
      }
    },

    isAvailable: (id) =>
      told(async () => {
        const { LifeCycleState } = await describe(id)
        if (LifeCycleState === 'available') return true
        if (LifeCycleState === 'creating' || LifeCycleState === 'updating') return false
        throw new NotPossible(`the team's access point ${id} is ${LifeCycleState}`)
      }),

    async delete(id) {
      try {
        await client.send(new DeleteAccessPointCommand({ AccessPointId: id }))
      } catch (error) {
        if (error instanceof AccessPointNotFound) return
        // The right to delete depends on a tag, and what is gone has none.
        if (asServiceError(error).status === 403 && !(await isListed(id))) return
        throw sorted(error)
      }
    },
  }

  async function isListed(id: string): Promise<boolean> {
    let NextToken: string | undefined
    do {
      const page = await client.send(
        new DescribeAccessPointsCommand({ FileSystemId, MaxResults: LIST_PAGE, ...(NextToken ? { NextToken } : {}) }),
      )
      if (page.AccessPoints?.some(({ AccessPointId }) => AccessPointId === id)) return true
      NextToken = page.NextToken
    } while (NextToken)
    return false
  }
}

function madeOf({ AccessPointId, AccessPointArn, LifeCycleState }: AccessPointDescription) {
  if (!AccessPointId || !AccessPointArn) throw new Error('EFS answered with an access point without id or ARN')
  return { id: AccessPointId, arn: AccessPointArn, available: LifeCycleState === 'available' }
}

async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw sorted(error)
  }
}

function sorted(error: unknown): unknown {
  const told = asServiceError(error)
  if (error instanceof NotPossible || !isRefusal(told) || PASSING.includes(told.name)) return error
  return new NotPossible(`EFS: ${told.name}: ${told.message}`, { cause: error })
}
