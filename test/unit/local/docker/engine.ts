/**
 * Tests that need a Docker engine: they run when one answers at DOCKER_HOST and has the image CONTAINER_BASE (a Debian with
 * Node). Without one they are skipped, except where DOCKER_TESTS=required, as in .ci/image-test: there they fail.
 */
import { describe } from 'vitest'
import type { ImageAsset } from '../../../../local/assembly/assets.ts'
import { type DockerOptions, openDocker } from '../../../../local/docker/docker-backend.ts'
import { openEngine } from '../../../../local/docker/engine-api.ts'
import type { BackendUnderTest } from '../ecs/backend-contract.ts'

export const HOST = process.env.DOCKER_HOST ?? ''
/** An image with Node. */
export const BASE = process.env.CONTAINER_BASE ?? 'node:24-bookworm-slim'

async function missing(): Promise<string | undefined> {
  if (HOST === '') return 'DOCKER_HOST is not set'
  try {
    await openEngine(HOST).call('GET', `/images/${encodeURIComponent(BASE)}/json`)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const reason = process.env.DOCKER_TESTS === 'required' ? undefined : await missing()

/** `describe`, skipped with its reason when there is no engine. */
export function describeWithEngine(name: string, tests: () => void): void {
  if (reason === undefined) describe(name, tests)
  else describe.skip(`${name} (${reason})`, tests)
}

/** The engine as a backend; `assets` are the images that it is to build. */
export function underTest(
  options: Partial<DockerOptions> = {},
  assets: Readonly<Record<string, ImageAsset>> = {},
): BackendUnderTest {
  return {
    image: BASE,
    async open(stateDir) {
      const docker = await openDocker({ host: HOST, stateDir, base: BASE, ...options })
      return docker.backend((uri) => assets[uri])
    },
  }
}
