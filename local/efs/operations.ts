import { AwsError } from '../common/aws-error.ts'
import {
  type AccessPoint,
  type AccessPoints,
  accessPointDocument,
  accessPointNotFound,
  type EfsTag,
} from './access-points.ts'
import { type FileSystem, fileSystemDocument, fileSystemNotFound } from './file-systems.ts'
import { badRequest, CreateAccessPointSchema, fileSystemIdOf, PageSchema, read, TagsSchema } from './input.ts'
import type { RestOperation } from './rest-json.ts'

/** What the operations work on. */
export interface EfsOperationDependencies {
  readonly fileSystems: ReadonlyMap<string, FileSystem>
  readonly accessPoints: AccessPoints
  readonly stateOf: (point: AccessPoint) => 'creating' | 'available'
  readonly now: () => number
  /** False when access points are made and deleted too fast. */
  readonly mayChange: () => boolean
  /** Resolves when a change is on disk. */
  readonly save: () => Promise<void>
}

interface Input {
  readonly AccessPointId?: string
  readonly FileSystemId?: string
  readonly CreationToken?: string
  readonly ResourceId?: string
  readonly Tags?: unknown
  readonly tagKeys?: string | readonly string[]
  readonly MaxResults?: string
  readonly MaxItems?: string
  readonly NextToken?: string
  readonly Marker?: string
}

/** A page of a list takes this many at most. Source: API reference of DescribeAccessPoints and DescribeFileSystems. */
const PAGE = 100

/** Cuts a list after the item that the token names; what comes and goes meanwhile shifts no page. */
function page<Item>(
  items: readonly Item[],
  idOf: (item: Item) => string,
  size: string | undefined,
  token: string | undefined,
) {
  const length = Math.min(PAGE, size === undefined ? PAGE : read(PageSchema, size))
  const after = token === undefined ? undefined : Buffer.from(token, 'base64url').toString()
  const sorted = items.toSorted((one, other) => (idOf(one) < idOf(other) ? -1 : 1))
  const left = after === undefined ? sorted : sorted.filter((item) => idOf(item) > after)
  const given = left.slice(0, length)
  const last = given.at(-1)
  const next =
    last !== undefined && left.length > given.length ? Buffer.from(idOf(last)).toString('base64url') : undefined
  return { items: given, next }
}

/** EFS's operations on access points, and what is read of file systems. */
export function efsOperations(deps: EfsOperationDependencies): RestOperation[] {
  const { fileSystems, accessPoints, stateOf, now, save } = deps
  const throttle = () => {
    if (!deps.mayChange()) throw new AwsError('ThrottlingException', 'Rate exceeded', { statusCode: 429 })
  }
  const fileSystem = (named: string): FileSystem => {
    const id = fileSystemIdOf(named)
    const found = fileSystems.get(id)
    if (!found) throw fileSystemNotFound(id)
    return found
  }
  const accessPoint = (id: string): AccessPoint => {
    const found = accessPoints.find(id.split('/').at(-1) ?? '')
    if (!found) throw accessPointNotFound(id)
    return found
  }
  const taggable = (id: string): { tags: readonly EfsTag[] } =>
    id.includes('fsap-') ? accessPoint(id) : fileSystem(id)

  async function createAccessPoint(input: Input) {
    throttle()
    const { ClientToken, FileSystemId, PosixUser, RootDirectory, Tags } = read(CreateAccessPointSchema, input)
    const point = accessPoints.add(
      {
        fileSystemId: fileSystem(FileSystemId).id,
        clientToken: ClientToken,
        ...(PosixUser ? { posixUser: PosixUser } : {}),
        rootDirectory: RootDirectory,
        tags: Tags,
      },
      now(),
    )
    await save()
    return accessPointDocument(point, 'creating')
  }

  function describeAccessPoints({ AccessPointId, FileSystemId, MaxResults, NextToken }: Input) {
    if (AccessPointId !== undefined && FileSystemId !== undefined)
      throw badRequest('AccessPointId and FileSystemId are mutually exclusive.')
    const describe = (point: AccessPoint) => accessPointDocument(point, stateOf(point))
    if (AccessPointId !== undefined) return { AccessPoints: [describe(accessPoint(AccessPointId))] }
    const system = FileSystemId === undefined ? undefined : fileSystem(FileSystemId)
    const wanted = accessPoints.all().filter(({ fileSystemId }) => system === undefined || fileSystemId === system.id)
    const { items, next } = page(wanted, ({ id }) => id, MaxResults, NextToken)
    return { AccessPoints: items.map(describe), ...(next === undefined ? {} : { NextToken: next }) }
  }

  async function deleteAccessPoint({ AccessPointId = '' }: Input) {
    throttle()
    accessPoints.remove(accessPoint(AccessPointId))
    await save()
  }

  function describeFileSystems({ FileSystemId, CreationToken, MaxItems, Marker }: Input) {
    if (FileSystemId !== undefined && CreationToken !== undefined)
      throw badRequest('Request cannot contain both a file system ID and a creation token.')
    if (FileSystemId !== undefined) return { FileSystems: [fileSystemDocument(fileSystem(FileSystemId))] }
    const all = [...fileSystems.values()].map(fileSystemDocument)
    const wanted = all.filter((each) => CreationToken === undefined || each.CreationToken === CreationToken)
    const { items, next } = page(wanted, (each) => String(each.FileSystemId), MaxItems, Marker)
    return { FileSystems: items, ...(next === undefined ? {} : { NextMarker: next }) }
  }

  async function setTags(id: string, change: (tags: readonly EfsTag[]) => readonly EfsTag[]): Promise<void> {
    const resource = taggable(id)
    resource.tags = read(TagsSchema, change(resource.tags))
    await save()
  }

  const points = '/2015-02-01/access-points'
  const tags = '/2015-02-01/resource-tags/{ResourceId}'
  return [
    { name: 'CreateAccessPoint', method: 'POST', path: points, run: createAccessPoint },
    { name: 'DescribeAccessPoints', method: 'GET', path: points, run: describeAccessPoints },
    {
      name: 'DeleteAccessPoint',
      method: 'DELETE',
      path: `${points}/{AccessPointId}`,
      status: 204,
      run: deleteAccessPoint,
    },
    { name: 'DescribeFileSystems', method: 'GET', path: '/2015-02-01/file-systems', run: describeFileSystems },
    {
      name: 'DescribeFileSystemPolicy',
      method: 'GET',
      path: '/2015-02-01/file-systems/{FileSystemId}/policy',
      run({ FileSystemId = '' }: Input) {
        const { id, policy } = fileSystem(FileSystemId)
        if (!policy)
          throw new AwsError('PolicyNotFound', `File system policy for ${id} does not exist.`, { statusCode: 404 })
        return { FileSystemId: id, Policy: JSON.stringify(policy) }
      },
    },
    {
      name: 'TagResource',
      method: 'POST',
      path: tags,
      run({ ResourceId = '', Tags }: Input) {
        const added = read(TagsSchema, Tags)
        const replaced = new Set(added.map(({ Key }) => Key))
        return setTags(ResourceId, (before) => [...before.filter(({ Key }) => !replaced.has(Key)), ...added])
      },
    },
    {
      name: 'UntagResource',
      method: 'DELETE',
      path: tags,
      run({ ResourceId = '', tagKeys = [] }: Input) {
        const removed = new Set([tagKeys].flat())
        return setTags(ResourceId, (before) => before.filter(({ Key }) => !removed.has(Key)))
      },
    },
    {
      name: 'ListTagsForResource',
      method: 'GET',
      path: tags,
      run({ ResourceId = '', MaxResults, NextToken }: Input) {
        const { items, next } = page(taggable(ResourceId).tags, ({ Key }) => Key, MaxResults, NextToken)
        return { Tags: items, ...(next === undefined ? {} : { NextToken: next }) }
      },
    },
  ]
}
