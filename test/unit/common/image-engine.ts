/** Built images under a real engine, named by DOCKER_HOST; DOCKER is its client. Used by the images' smoke tests. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { TaskSize } from '../../../shared/contracts/limits.ts'
import { FakeControlPlane, type FakeControlPlaneOptions } from './fake-control-plane.ts'

const DOCKER = process.env.DOCKER ?? 'docker'
/** By this .ci/image-test finds containers of a test that was killed. */
const LABEL = 'covibes.image-test'
/** Milliseconds: the longest that is waited for is the end of a container that is busy on a busy machine. */
const COMMAND_MS = 90_000
const TEST_MS = 150_000
const containers: string[] = []

/** One command of the engine's client; resolves with what it printed. Rejects with what it complained of, or that it took too long. */
export async function docker(...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(DOCKER, args, { timeout: COMMAND_MS, killSignal: 'SIGKILL' })
    return stdout.trim()
  } catch (error) {
    if ((error as { killed?: boolean }).killed !== true) throw error
    throw new Error(`docker ${args.join(' ').slice(0, 200)}: not done within ${COMMAND_MS / 1000} s`)
  }
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
    `--label=${LABEL}`,
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

/** Rejects when it has not ended in time: a test that waits for ever is one that fails, and says what it was. */
async function inTime(name: string, test: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`"${name}" did not end within ${TEST_MS / 1000} s`)), TEST_MS)
  })
  try {
    await Promise.race([test(), late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Runs the tests one after the other and ends the process: with 1 at the first that fails, and the containers' last words. Nothing of
 * them is left in the engine, whatever becomes of them.
 */
export async function runTests(tests: Readonly<Record<string, () => Promise<void>>>): Promise<never> {
  const told = (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error))
  try {
    for (const [name, test] of Object.entries(tests)) {
      const from = performance.now()
      await inTime(name, test)
      process.stdout.write(`ok: ${name} (${Math.round(performance.now() - from)} ms)\n`)
    }
  } catch (error) {
    process.exitCode = 1
    process.stderr.write(`FAILED: ${told(error)}\n`)
    for (const id of containers)
      process.stderr.write(`${id.slice(0, 12)}: ${await docker('logs', '--tail=20', id).catch(told)}\n`)
  }
  if (containers.length > 0)
    await docker('rm', '--force', '--volumes', ...containers).catch((error: unknown) => {
      process.exitCode = 1
      process.stderr.write(`Containers are left in the engine: ${told(error)}\n`)
    })
  process.exit()
}
