/** The started product whose tasks are containers of a Docker engine, and what the engine says of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { openEngine } from '../../local/docker/engine-api.ts'
import { imagesOfTemplate, openDockerOf } from '../../local/docker/from-environment.ts'
import { labelsOf } from '../../local/docker/labels.ts'
import type { NetworkMode } from '../../local/docker/network.ts'
import { createScriptedModel } from '../../local/scripted-model/server.ts'
import { assemblyDirectory as defaultAssembly, synthesize } from './global-setup.ts'
import { startProduct } from './product.ts'

const ListedSchema = z.array(z.object({ Id: z.string(), Labels: z.record(z.string(), z.string()) }))
const InspectedSchema = z.object({
  Config: z.object({ User: z.string() }),
  HostConfig: z.object({
    Memory: z.number(),
    MemorySwap: z.number(),
    NanoCpus: z.number(),
    ReadonlyRootfs: z.boolean(),
    CapDrop: z.array(z.string()),
    SecurityOpt: z.array(z.string()),
  }),
  Mounts: z.array(z.object({ Type: z.string(), Destination: z.string(), RW: z.boolean() })),
  NetworkSettings: z.object({ Networks: z.record(z.string(), z.object({ IPAddress: z.string() })) }),
})
export type InspectedContainer = z.infer<typeof InspectedSchema>

/** How a task's container ended, as ECS's event has it. */
export interface EndedContainer {
  readonly name: string
  readonly exitCode?: number | undefined
  readonly reason?: string | undefined
}

const StoppedSchema = z.object({
  detail: z.object({
    lastStatus: z.literal('STOPPED'),
    containers: z.array(
      z.object({ name: z.string(), exitCode: z.number().exactOptional(), reason: z.string().exactOptional() }),
    ),
  }),
})

export type ContainerProduct = Awaited<ReturnType<typeof startProductInContainers>>

/**
 * Starts it as `npm start -- --backend docker` does, with a scripted model. Its schedules rest until a test invokes them, and a
 * preview is idle after `idleMinutes` without a visit.
 */
export async function startProductInContainers(
  network: NetworkMode,
  { idleMinutes }: { readonly idleMinutes: number },
) {
  const stateDir = mkdtempSync(join(tmpdir(), 'covibes-'))
  // Inside of the repository: the gateway runs from its staged sources, and finds its packages from there.
  const assemblyDirectory = mkdtempSync(`${defaultAssembly}.containers-`)
  const ended: EndedContainer[] = []
  /** What ends what was started, in the order of the starts. */
  const closing: (() => Promise<void>)[] = [
    async () => rmSync(stateDir, { recursive: true, force: true }),
    async () => rmSync(assemblyDirectory, { recursive: true, force: true }),
  ]
  async function close(): Promise<void> {
    for (const end of closing.splice(0).reverse()) await end()
  }

  async function start() {
    const model = await createScriptedModel()
    closing.push(() => model.close())
    const docker = await openDockerOf({ ...process.env, DOCKER_NETWORK: network }, { stateDir, onLog: () => {} })
    closing.push(() => docker.close())
    synthesize(assemblyDirectory, '', {
      MODEL_BASE_URL: await docker.reach(model.url),
      PREVIEW_IDLE_MINUTES: String(idleMinutes),
      ALLOW_LOOPBACK_REPOSITORIES: String(docker.sharesLoopback),
    })
    const product = await startProduct({
      stateDir,
      assemblyDirectory,
      scheduleRate: 0,
      backend: ({ assets }) => docker.backend((uri) => assets.image(uri)),
      onTraffic: (where, content) => {
        const event = where === 'event' ? StoppedSchema.safeParse(JSON.parse(content)).data : undefined
        if (event) ended.push(...event.detail.containers)
      },
    })
    closing.push(() => product.close())
    for (const image of imagesOfTemplate(product.runtime.assembly)) await product.runtime.backend.pull(image)
    return product
  }

  const product = await start().catch(async (error: unknown) => {
    await close()
    throw error
  })
  const engine = openEngine(process.env.DOCKER_HOST ?? '')
  const labels = labelsOf(stateDir)
  const list = async (path: string, label?: string) =>
    engine.call('GET', path, { query: { filters: labels.filter(label), all: 'true' } })

  return {
    ...product,
    /** Of every task that has stopped, oldest first. */
    ended,
    /** What the engine has of the containers with this name (`preview`, `sync`, `agent`) that there are now. */
    async containers(name: string): Promise<InspectedContainer[]> {
      const listed = ListedSchema.parse(await list('/containers/json', `com.amazonaws.ecs.container-name=${name}`))
      return Promise.all(
        listed.map(async ({ Id }) => InspectedSchema.parse(await engine.call('GET', `/containers/${Id}/json`))),
      )
    },
    /** All that this product has in the engine but images. */
    async remains(): Promise<unknown[]> {
      const volumes = z.object({ Volumes: z.array(z.unknown()).nullable() }).parse(await list('/volumes'))
      const [containers, networks] = [await list('/containers/json'), await list('/networks')]
      return [containers, networks, volumes.Volumes ?? []].flat()
    },
    /** Ends everything, once. */
    close,
  }
}
