import { spawn } from 'node:child_process'
import { signal } from './processes.ts'
import type { HealthCheck, HealthStatus } from './types.ts'

/** ECS's defaults, in seconds but for `retries`. Source: the API reference of HealthCheck. */
const DEFAULTS = { interval: 30, timeout: 5, retries: 3, startPeriod: 0 }

/** Where a container's health check runs. */
export interface HealthCheckOptions {
  readonly check: HealthCheck
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  readonly onChange: (status: HealthStatus) => void
}

/**
 * Runs a container's health check as Docker does: each `interval` after the last has ended; HEALTHY after one success;
 * UNHEALTHY after `retries` failures in a row, of which those in the `startPeriod` before a first success do not count;
 * a check that takes longer than `timeout` is killed and has failed. Returns the function that ends it.
 */
export function runHealthCheck(options: HealthCheckOptions): () => void {
  const { interval, timeout, retries, startPeriod } = { ...DEFAULTS, ...options.check }
  const command = commandOf(options.check)
  if (!command) return () => {}
  const startedAt = Date.now()
  let failures = 0
  let succeeded = false
  let stopped = false
  let status: HealthStatus = 'UNKNOWN'
  let cancelProbe = () => {}

  function become(next: HealthStatus): void {
    if (next === status) return
    status = next
    options.onChange(next)
  }

  async function probe(): Promise<void> {
    const running = execute(command as string[], options, timeout * 1_000)
    cancelProbe = running.cancel
    const healthy = await running.healthy
    if (stopped) return
    if (healthy) {
      failures = 0
      succeeded = true
      become('HEALTHY')
    } else if (succeeded || Date.now() - startedAt >= startPeriod * 1_000) {
      failures += 1
      if (failures >= retries) become('UNHEALTHY')
    }
    schedule()
  }

  let timer: NodeJS.Timeout | undefined
  function schedule(): void {
    timer = setTimeout(() => void probe(), interval * 1_000)
  }
  schedule()
  return () => {
    stopped = true
    clearTimeout(timer)
    cancelProbe()
  }
}

function commandOf({ command }: HealthCheck): string[] | undefined {
  const [kind, ...rest] = command
  if (kind === 'NONE') return undefined
  if (kind === 'CMD-SHELL') return ['/bin/sh', '-c', rest.join(' ')]
  // ECS takes a command without CMD in front as CMD.
  return kind === 'CMD' ? rest : [...command]
}

function execute(
  command: readonly string[],
  options: HealthCheckOptions,
  timeoutMs: number,
): { healthy: Promise<boolean>; cancel: () => void } {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    cwd: options.directory,
    env: { ...options.environment },
    detached: true,
    stdio: 'ignore',
  })
  const cancel = () => {
    if (child.pid !== undefined) signal(-child.pid, 'SIGKILL')
  }
  const timer = setTimeout(cancel, timeoutMs)
  const healthy = new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  }).finally(() => clearTimeout(timer))
  return { healthy, cancel }
}
