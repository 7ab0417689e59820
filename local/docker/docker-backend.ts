import * as z from 'zod'
import type { ImageAsset } from '../assembly/assets.ts'
import {
  type ContainerBackend,
  type ContainerExit,
  type ContainerSpec,
  type RunningContainer,
  StartFailed,
} from '../ecs/backend.ts'
import { REASONS } from '../ecs/reasons.ts'
import type { Task } from '../ecs/types.ts'
import { containerBody, taskLabel } from './container-body.ts'
import { type Engine, EngineError, openEngine } from './engine-api.ts'
import { listenToHealth } from './health-events.ts'
import { createDockerImages } from './images.ts'
import { labelsOf } from './labels.ts'
import { forgetEngine, rememberEngine, removeContainer, removeLeftovers, removeVolumes } from './leftovers.ts'
import { createTaskNetwork, type NetworkMode } from './network.ts'
import { readOutput } from './output.ts'

/** What `openDocker` takes. */
export interface DockerOptions {
  /** As `DOCKER_HOST` has it. */
  readonly host: string
  readonly stateDir: string
  /** Default `bridge`. */
  readonly network?: NetworkMode
  /** For the build argument `BASE` of images; undefined leaves the Dockerfile's own. */
  readonly base?: string
  /** The docker command that builds images; default `docker`. */
  readonly docker?: string
  /** Told each line of a build. */
  readonly onLog?: (line: string) => void
}

/** An engine that is ready to run the containers of one runtime. */
export interface Docker {
  /** Containers share this machine's network; otherwise a loopback address that nobody translates for them is their own. */
  readonly sharesLoopback: boolean
  /** A text with addresses of this machine's loopback as containers reach them. */
  reach(text: string): Promise<string>
  /** The backend for the images that `assetOf` knows. Closing it closes the rest. */
  backend(assetOf: (imageUri: string) => ImageAsset | undefined): ContainerBackend
  /** Removes what is left in the engine. More than once is no error. */
  close(): Promise<void>
}

const Created = z.object({ Id: z.string() })
const Waited = z.object({ StatusCode: z.number() })
const Inspected = z.object({ State: z.object({ OOMKilled: z.boolean(), ExitCode: z.number() }) })

/** Exit code of a container whose engine has gone away: nobody knows its own. */
const UNKNOWN_EXIT_CODE = 255

/**
 * Opens a Docker engine on this machine for the runtime that keeps its state in `stateDir`, and removes what an earlier run has
 * left in it. Rejects when no engine answers.
 */
export async function openDocker(options: DockerOptions): Promise<Docker> {
  const { host, stateDir } = options
  const engine = openEngine(host)
  const labels = labelsOf(stateDir)
  await rememberEngine(stateDir, host)
  await removeLeftovers(engine, labels)
  const network = await createTaskNetwork(engine, { mode: options.network ?? 'bridge', stateDir, labels })
  const health = await listenToHealth(engine, labels)
  /** Of each task, the container whose network the others share. */
  const firstOf = new Map<string, string>()
  let closed: Promise<void> | undefined

  async function close(): Promise<void> {
    health.close()
    await network.close()
    try {
      await removeLeftovers(engine, labels)
      forgetEngine(stateDir)
    } catch (error) {
      console.error(`What is left in the Docker engine goes at the next start: ${(error as Error).message}`)
    }
  }

  async function start(spec: ContainerSpec, image: string): Promise<RunningContainer> {
    const { taskArn } = spec.task
    const sharesNetworkWith = firstOf.get(taskArn)
    const body = await containerBody(spec, { image, labels, network, sharesNetworkWith })
    const { Id: id } = Created.parse(await engine.call('POST', '/containers/create', { body }))
    if (sharesNetworkWith === undefined) firstOf.set(taskArn, id)
    health.watch(id, spec.onHealth)
    try {
      // Both listen before the start, so that nothing is missed.
      const output = await engine.stream('POST', `/containers/${id}/attach`, {
        query: { stream: 'true', stdout: 'true', stderr: 'true' },
      })
      const written = readOutput(output, spec.onLine)
      const waited = await engine.stream('POST', `/containers/${id}/wait`, { query: { condition: 'next-exit' } })
      await engine.call('POST', `/containers/${id}/start`)
      return running(engine, id, { written, waited, onEnd: () => health.forget(id) })
    } catch (error) {
      health.forget(id)
      if (firstOf.get(taskArn) === id) firstOf.delete(taskArn)
      // What cannot be removed now goes with the runtime, or at the next start.
      await removeContainer(engine, id).catch((left: Error) => spec.onLine(left.message, 'stderr'))
      throw error
    }
  }

  return {
    sharesLoopback: network.isHost,
    reach: network.reach,
    backend(assetOf) {
      const images = createDockerImages({
        engine,
        assetOf,
        base: options.base,
        docker: options.docker,
        onLog: options.onLog,
      })
      return {
        addresses: network.addresses,
        pull: async (imageUri) => {
          await images
            .ready(imageUri)
            .catch((error: unknown) => refuse(error, (why) => `CannotPullContainerError: ${why}`))
        },
        recordOf: () => undefined,
        start: async (spec) =>
          images
            .ready(spec.definition.image)
            .then((image) => start(spec, image))
            .catch((error: unknown) => refuse(error, REASONS.cannotStart)),
        async release(task: Task) {
          firstOf.delete(task.taskArn)
          const { name, value } = taskLabel(task.taskArn)
          await removeVolumes(engine, labels.filter(`${name}=${value}`))
        },
        close: () => (closed ??= close()),
      }
    },
    close: () => (closed ??= close()),
  }
}

/** Whatever the engine says no to, or that there is none any more: the task fails to start, and says why. */
function refuse(error: unknown, reason: (why: string) => string): never {
  throw error instanceof StartFailed ? error : new StartFailed(reason((error as Error).message))
}

function running(
  engine: Engine,
  id: string,
  parts: {
    readonly written: Promise<void>
    readonly waited: AsyncIterable<Buffer>
    readonly onEnd: () => void
  },
): RunningContainer {
  async function end(): Promise<ContainerExit> {
    try {
      const { StatusCode: exitCode } = Waited.parse(JSON.parse(await text(parts.waited)))
      await parts.written
      const { State } = Inspected.parse(await engine.call('GET', `/containers/${id}/json`))
      await removeContainer(engine, id)
      return { exitCode, ...(State.OOMKilled ? { reason: REASONS.outOfMemory } : {}) }
    } catch (error) {
      return {
        exitCode: UNKNOWN_EXIT_CODE,
        reason: `The Docker engine lost the container: ${(error as Error).message}`,
      }
    } finally {
      parts.onEnd()
    }
  }

  /** A container that has ended meanwhile is no error: 304 not running, 404 gone, 409 not running. */
  async function signal(path: string, query: Record<string, string>): Promise<void> {
    await engine.call('POST', `/containers/${id}/${path}`, { query }).catch((error: unknown) => {
      if (!(error instanceof EngineError) || ![304, 404, 409].includes(error.status)) throw error
    })
    await exited
  }

  const exited = end()
  return {
    exited,
    // The engine counts whole seconds.
    stop: (timeoutMs) => signal('stop', { t: String(Math.ceil(timeoutMs / 1_000)) }),
    kill: () => signal('kill', { signal: 'SIGKILL' }),
  }
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
