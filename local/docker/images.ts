import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { ImageAsset } from '../assembly/assets.ts'
import { StartFailed } from '../ecs/backend.ts'
import { REASONS } from '../ecs/reasons.ts'
import { type Engine, EngineError } from './engine-api.ts'
import { readUntilEnd } from './progress.ts'

/** What `createDockerImages` takes. */
export interface DockerImagesOptions {
  readonly engine: Engine
  /** The image asset that an image URI of the template names; undefined for an image of a registry. */
  readonly assetOf: (imageUri: string) => ImageAsset | undefined
  /** For the build argument `BASE`; undefined leaves the Dockerfile's own. */
  readonly base?: string | undefined
  /** The docker command that builds; default `docker`. */
  readonly docker?: string | undefined
  readonly onLog?: ((line: string) => void) | undefined
}

/** The engine's images for the template's. */
export interface DockerImages {
  /** The engine's name for an image, built or pulled when it is missing. Throws `StartFailed`. */
  ready(imageUri: string): Promise<string>
}

/** Lines of a failed build that are told. */
const TOLD_LINES = 15
const PLATFORMS: Readonly<Record<string, string>> = { x64: 'linux/amd64', arm64: 'linux/arm64' }

/** Builds each image asset once; its tag holds the digest of all that goes into it. */
export function createDockerImages(options: DockerImagesOptions): DockerImages {
  const { engine, assetOf, base } = options
  const ready = new Map<string, Promise<string>>()

  async function exists(image: string): Promise<boolean> {
    try {
      await engine.call('GET', `/images/${encodeURIComponent(image)}/json`)
      return true
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return false
      throw error
    }
  }

  async function make(imageUri: string): Promise<string> {
    const asset = assetOf(imageUri)
    const image = asset ? tagOf(asset, base) : imageUri
    if (await exists(image)) return image
    if (asset) await build(asset, image, options)
    else await pull(engine, image)
    return image
  }

  return {
    ready(imageUri) {
      const known = ready.get(imageUri)
      if (known) return known
      const made = make(imageUri)
      ready.set(imageUri, made)
      // A build that failed for want of a network may go well the next time.
      made.catch(() => ready.delete(imageUri))
      return made
    },
  }
}

function tagOf(asset: ImageAsset, base: string | undefined): string {
  const digest = createHash('sha256').update(JSON.stringify([asset.hash, base, asset.buildArgs, asset.target]))
  return `covibes-local:${digest.digest('hex').slice(0, 24)}`
}

async function build(asset: ImageAsset, tag: string, options: DockerImagesOptions): Promise<void> {
  const { engine, base, docker = 'docker', onLog = () => {} } = options
  const buildArgs = { ...asset.buildArgs, ...(base === undefined ? {} : { BASE: base }) }
  const args = [
    'build',
    // A base without a registry's reach is found by its tag, and so are packages by this machine's network.
    '--network=host',
    ...(asset.platform === undefined || asset.platform === PLATFORMS[process.arch]
      ? []
      : ['--platform', asset.platform]),
    ...(asset.target === undefined ? [] : ['--target', asset.target]),
    ...Object.entries(buildArgs).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
    ...['--file', join(asset.directory, asset.dockerFile), '--tag', tag, asset.directory],
  ]
  const child = spawn(docker, args, {
    env: { ...process.env, DOCKER_HOST: engine.host, DOCKER_BUILDKIT: '1', BUILDKIT_PROGRESS: 'plain' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const told: string[] = []
  await readUntilEnd(child, (line) => {
    onLog(line)
    told.push(line)
    if (told.length > TOLD_LINES) told.shift()
  })
    .then((code) => {
      if (code !== 0) throw new Error(`docker build ended with ${code}:\n${told.join('\n')}`)
    })
    .catch((error: Error) => {
      throw new StartFailed(`CannotPullContainerError: ${asset.dockerFile} could not be built: ${error.message}`)
    })
}

async function pull(engine: Engine, image: string): Promise<void> {
  try {
    const answer = await engine.stream('POST', '/images/create', { query: { fromImage: image } })
    let failure: string | undefined
    for await (const chunk of answer as AsyncIterable<Buffer>)
      failure ??= /"error":"((?:[^"\\]|\\.)*)"/.exec(chunk.toString('utf8'))?.[1]
    if (failure !== undefined) throw new EngineError(404, failure)
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    throw new StartFailed(`${REASONS.cannotPull(image)}: ${error.message}`)
  }
}
