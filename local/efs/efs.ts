import { join } from 'node:path'
import type { OnRequest } from '../common/aws-call.ts'
import { createAwsServer } from '../common/aws-server.ts'
import { createTokenBucket } from '../common/token-bucket.ts'
import { createStateFile, readStateFile } from '../ecs/state-file.ts'
import type { Iam } from '../iam/iam.ts'
import { type AccessPoint, AccessPoints } from './access-points.ts'
import { fileSystemsOf, type TemplateResource, templateAccessPoints } from './file-systems.ts'
import { type Mount, type MountRequest, mount, ownAsRoot } from './mount.ts'
import { efsOperations } from './operations.ts'
import { restJson } from './rest-json.ts'

/** What `createEfs` takes. */
export interface EfsOptions {
  /** The template's file systems, mount targets and access points; others are passed over. */
  readonly resources: readonly TemplateResource[]
  /** Access points are kept in `efs.json` there, files in `efs/<file system>/`. */
  readonly stateDir: string
  /** Asked at each mount of a file system that has a policy. */
  readonly allows: Iam['allows']
  readonly onRequest?: OnRequest
  /** An access point is `creating`, and cannot be mounted, this long; default 20 ms. */
  readonly creatingMs?: number
  /**
   * How many access points may be made or deleted at once, and how many more each second, before ThrottlingException; without it
   * as many as come. AWS takes about one a second in an account (docs/aws-fidelity/workspaces.md).
   */
  readonly accessPointRate?: { readonly burst: number; readonly perSecond: number } | undefined
  readonly port?: number
  readonly now?: () => number
}

/** A running Amazon EFS endpoint. */
export interface Efs {
  /** The value for `AWS_ENDPOINT_URL_EFS`. */
  readonly url: string
  /** Mounts for a task. Throws `MountRefused`. */
  mount(request: MountRequest): Promise<Mount>
  close(): Promise<void>
}

/** Starts an Amazon EFS endpoint over the template's file systems, which are folders of this machine. */
export async function createEfs(options: EfsOptions): Promise<Efs> {
  const { resources, stateDir, creatingMs = 20, now = Date.now } = options
  const path = join(stateDir, 'efs.json')
  const kept = ((await readStateFile(path)) as AccessPoint[] | undefined) ?? []
  const fileSystems = fileSystemsOf(resources)
  const accessPoints = new AccessPoints(
    templateAccessPoints(resources),
    // With a file system that the template no longer has its access points have gone.
    kept.filter(({ fileSystemId }) => fileSystems.has(fileSystemId)),
  )
  const file = createStateFile(path, () => JSON.stringify(accessPoints.made()))
  const stateOf = ({ createdAt }: AccessPoint) => (now() - createdAt < creatingMs ? 'creating' : 'available')
  const rate = options.accessPointRate && createTokenBucket({ ...options.accessPointRate, now })
  const mayChange = () => rate?.take() ?? true
  const server = await createAwsServer({
    protocol: restJson('efs', efsOperations({ fileSystems, accessPoints, stateOf, now, save: file.save, mayChange })),
    onRequest: options.onRequest,
    port: options.port,
  })
  const mounting = {
    directory: join(stateDir, 'efs'),
    fileSystem: (id: string) => fileSystems.get(id),
    accessPoint: (id: string) => accessPoints.find(id),
    isAvailable: (point: AccessPoint) => stateOf(point) === 'available',
    allows: options.allows,
    own: ownAsRoot,
  }
  return {
    url: server.url,
    mount: (request) => mount(request, mounting),
    async close() {
      await server.close()
      await file.close()
    },
  }
}
