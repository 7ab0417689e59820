/** Built images under a real engine, named by DOCKER_HOST; DOCKER is its client. Used by the images' smoke tests. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { TaskSize } from '../../../shared/contracts/limits.ts'
import { FakeControlPlane, type FakeControlPlaneOptions } from './fake-control-plane.ts'

const DOCKER = process.env.DOCKER ?? 'docker'
const containers: string[] = []

export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(DOCKER, args, { timeout: 180_000 })
  return stdout.trim()
}

/** Limits of a task, as Fargate sets them: no swap. */
export const limits = ({ cpu, memory }: TaskSize): string[] => [
  `--cpus=${cpu / 1024}`,
  `--memory=${memory}m`,
  `--memory-swap=${memory}m`,
]

/**
 * Starts a container as Fargate would: as the image's user, without rights, its root file system read-only. `options` are the
 * engine's; what follows is the container's command.
 */
export async function start(
  image: string,
  url: string,
  options: readonly string[],
  ...command: string[]
): Promise<string> {
  const id = await docker(
    'run',
    '--detach',
    '--read-only',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    '--health-interval=1s',
    '--env=COVIBES_ENVIRONMENT=team-1/record-1/1',
    '--env=COVIBES_LINK_TICKET=ticket',
    `--env=COVIBES_LINK_URL=${url}`,
    ...options,
    image,
    ...command,
  )
  containers.push(id)
  return id
}

export const inspect = (id: string, format: string): Promise<string> => docker('inspect', `--format=${format}`, id)

/** Runs a command of a shell in a container. */
export const run = (id: string, command: string): Promise<string> => docker('exec', id, 'sh', '-c', command)

/** Waits for what cannot be waited for otherwise: asks, for half a minute at most. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  for (let tries = 0; tries < 150; tries++) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await delay(200)
  }
  return assert.fail(`${what} did not happen within half a minute`)
}

export const untilHealth = (id: string, status: 'healthy' | 'unhealthy'): Promise<boolean> =>
  eventually(`${status} of ${id}`, async () => (await inspect(id, '{{.State.Health.Status}}')) === status)

/** A control plane that containers on the bridge reach by the bridge's own address. */
export async function withPlane(
  options: FakeControlPlaneOptions,
  test: (plane: FakeControlPlane, url: string) => Promise<void>,
): Promise<void> {
  const plane = await FakeControlPlane.start({ host: '0.0.0.0', ...options })
  const bridge = await docker('network', 'inspect', 'bridge', '--format={{(index .IPAM.Config 0).Gateway}}')
  await test(plane, `ws://${bridge}:${plane.port}`)
  assert.deepEqual(plane.violations, [])
  await plane.close()
}

/** Runs the tests one after the other and ends the process: with 1 at the first that fails, and the containers' last words. */
export async function runTests(tests: Readonly<Record<string, () => Promise<void>>>): Promise<never> {
  try {
    for (const [name, test] of Object.entries(tests)) {
      const from = performance.now()
      await test()
      process.stdout.write(`ok: ${name} (${Math.round(performance.now() - from)} ms)\n`)
    }
  } catch (error) {
    process.exitCode = 1
    process.stderr.write(`FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    for (const id of containers) process.stderr.write(`${id.slice(0, 12)}: ${await docker('logs', '--tail=20', id)}\n`)
  } finally {
    if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers)
  }
  process.exit()
}
