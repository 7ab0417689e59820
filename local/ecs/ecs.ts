import type { AwsCall, Disturbance, OnRequest } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { createAwsJsonServer } from '../common/aws-json-server.ts'
import type { AwsServer } from '../common/aws-server.ts'
import { createTokenBucket } from '../common/token-bucket.ts'
import { MountRefused, type MountRequest } from '../efs/mount.ts'
import { createFaults, type Faults } from '../faults/faults.ts'
import { createClusters } from './clusters.ts'
import type { ServiceEvent } from './documents.ts'
import { createMetadataEndpoint } from './metadata-endpoint.ts'
import { ecsOperations } from './operations.ts'
import { REASONS } from './reasons.ts'
import { runTask } from './run-task.ts'
import type { RunTaskInput } from './run-task-input.ts'
import { createTaskDefinitions, type ResolvedResource } from './task-definitions.ts'
import type { TaskHost } from './task-launch.ts'
import { type Latencies, startTaskRun, type TaskRun } from './task-run.ts'
import { openTaskStore } from './task-store.ts'
import type { Task, TaskDefinition } from './types.ts'

/** What `createEcs` takes. */
export interface EcsOptions extends Pick<TaskHost, 'stateDir' | 'backend'> {
  /** The template's clusters, capacity provider associations and task definitions; others are passed over. */
  readonly resources: readonly ResolvedResource[]
  /** Gets every "ECS Task State Change" event, as the default event bus would. */
  readonly onEvent: (event: ServiceEvent) => void
  readonly secret?: TaskHost['secret']
  readonly mountEfs?: TaskHost['mountEfs']
  /** Whether ECS may take on a task's role for a task of this cluster; without it every role will do. */
  readonly canAssumeRole?: (roleArn: string, clusterArn: string) => boolean
  readonly onLog?: TaskHost['onLog']
  readonly faults?: Faults
  /** Sees each call before the faults do. */
  readonly onRequest?: OnRequest
  readonly latencies?: Partial<Latencies>
  /** How many RegisterTaskDefinition calls are taken at once, and how many more each second; default 20 and 1. */
  readonly registrationRate?: { readonly burst: number; readonly perSecond: number }
  /** Default an hour. */
  readonly stoppedRetentionMs?: number
  /** Default 100. */
  readonly maxRunningTasks?: number
  /** `close()` gives processes this long between SIGTERM and SIGKILL; default 5 s. */
  readonly closeGraceMs?: number
  readonly port?: number
  /** Told of what should never happen, such as a state file that cannot be written. Default: standard error. */
  readonly onDefect?: (error: unknown) => void
}

/** A running Amazon ECS endpoint. */
export interface Ecs {
  /** The value for `AWS_ENDPOINT_URL_ECS`. */
  readonly url: string
  /** Reclaims a Fargate Spot task: SIGTERM, SIGKILL after its stop timeout. Throws for other tasks. */
  interruptSpot(taskArn: string): Promise<void>
  /** Kills a container as for lack of memory: exit code 137, reason OutOfMemoryError. Throws when it does not run. */
  killForMemory(taskArn: string, containerName: string): Promise<void>
  /** Resolves when no task lives any more. */
  idle(): Promise<void>
  /** Ends every task's processes and the endpoint. What had not stopped is reported as stopped by the next start. */
  close(): Promise<void>
}

const DEFAULT_LATENCIES: Latencies = { provisioningMs: 150, pendingMs: 150, deactivatingMs: 0, deprovisioningMs: 50 }
const HOUR_MS = 3_600_000
/** Source: the quota "RegisterTaskDefinition", https://docs.aws.amazon.com/general/latest/gr/ecs-service.html */
const REGISTRATION_RATE = { burst: 20, perSecond: 1 }

/**
 * An Amazon ECS endpoint for Fargate tasks that run on this machine, as the backend says. State lives in `<stateDir>/ecs.json`
 * and `<stateDir>/tasks/`; only one endpoint may use a folder at a time.
 */
export async function createEcs(options: EcsOptions): Promise<Ecs> {
  const now = Date.now
  const faults = options.faults ?? createFaults()
  const onDefect = options.onDefect ?? ((error: unknown) => console.error('The local ecs failed:', error))
  const { backend } = options
  const runs = new Map<string, TaskRun & { readonly released: Promise<void> }>()
  let closed = false

  const store = await openTaskStore({
    stateDir: options.stateDir,
    stoppedRetentionMs: options.stoppedRetentionMs ?? HOUR_MS,
    now,
    registered: () => definitions.registered(),
    onDefect,
    emit: (event) =>
      faults.disturbEvent(event, (arrived) => {
        if (!closed) options.onEvent(arrived)
      }),
  })
  const definitions = createTaskDefinitions({ resources: options.resources, registered: store.registered, now })
  const metadata = await createMetadataEndpoint((runtimeId) => {
    for (const { task } of runs.values()) {
      const container = task.containers.find((each) => each.runtimeId === runtimeId)
      const definition = container && definitions.find(task.taskDefinitionArn)
      if (definition) return { task, container, definition }
    }
    return undefined
  })
  const host: TaskHost = {
    stateDir: options.stateDir,
    backend,
    secret: options.secret ?? refuseSecret,
    mountEfs: options.mountEfs ?? refuseFileSystem,
    onLog: options.onLog ?? (() => {}),
    metadataUri: metadata.uri,
  }
  const latencies = { ...DEFAULT_LATENCIES, ...options.latencies }

  function launch(task: Task, definition: TaskDefinition): void {
    const run = startTaskRun(task, definition, { store, host, latencies, faults, now, onDefect })
    const released = run.done
      .catch(onDefect)
      .then(() => backend.release(task))
      .catch(onDefect)
      .finally(() => {
        runs.delete(task.taskArn)
        backend.addresses.release(task.eni.privateIPv4Address)
      })
    runs.set(task.taskArn, { ...run, released })
  }

  const clusters = createClusters(options.resources)
  const refusals = new WeakMap<AwsCall, { readonly reason?: string }>()
  const runTaskDeps = {
    clusters,
    definitions,
    store,
    addresses: backend.addresses,
    now,
    maxRunningTasks: options.maxRunningTasks ?? 100,
    canAssumeRole: options.canAssumeRole ?? (() => true),
    launch,
  }

  async function disturb(call: AwsCall): Promise<Disturbance | undefined> {
    const own = await options.onRequest?.(call)
    if (own) return own
    if (call.operation === 'RunTask') {
      const input = call.input as RunTaskInput
      const fault = faults.runTask.take({
        cluster: input.cluster ?? 'default',
        taskDefinition: input.taskDefinition ?? '',
        startedBy: input.startedBy,
        clientToken: input.clientToken,
      })
      if (fault?.kind === 'refuse') refusals.set(call, fault)
      else if (fault) return fail(fault.kind)
    }
    if (call.operation === 'StopTask') {
      const fault = faults.stopTask.take({ task: String(call.input.task) })
      if (fault) return fail(fault.kind)
    }
    return undefined
  }

  const operations = {
    ...ecsOperations({
      clusters,
      definitions,
      store,
      runOf: (task) => runs.get(task.taskArn),
      registrations: createTokenBucket({ ...(options.registrationRate ?? REGISTRATION_RATE), now }),
    }),
    RunTask: (input: RunTaskInput, call: AwsCall) => runTask(input, runTaskDeps, refusals.get(call)),
  }
  const server = await serve().catch(async (error: unknown) => {
    await backend.close()
    await metadata.close()
    await store.close()
    throw error
  })

  async function serve(): Promise<AwsServer> {
    const ended = await store.recover()
    // What cannot be removed now is no reason not to start.
    for (const task of ended) await backend.release(task).catch(onDefect)
    return createAwsJsonServer({
      services: [{ name: 'ecs', target: 'AmazonEC2ContainerServiceV20141113', version: '1.1', operations }],
      onRequest: disturb,
      port: options.port,
      onDefect: (_call, error) => onDefect(error),
    })
  }

  function runOf(taskArn: string): TaskRun {
    const run = runs.get(taskArn)
    if (!run) throw new Error(`The task ${taskArn} does not live`)
    return run
  }

  return {
    url: server.url,
    async interruptSpot(taskArn) {
      const run = runOf(taskArn)
      if (run.task.capacityProviderName !== 'FARGATE_SPOT') throw new Error(`The task ${taskArn} is not a Spot task`)
      await run.requestStop('SpotInterruption', REASONS.spotInterrupted)
    },
    killForMemory: (taskArn, containerName) => runOf(taskArn).killForMemory(containerName),
    async idle() {
      while (runs.size > 0) await Promise.all([...runs.values()].map(({ released }) => released))
    },
    async close() {
      await server.close()
      closed = true
      const ending = [...runs.values()]
      await Promise.allSettled(ending.map((run) => run.abandon(options.closeGraceMs ?? 5_000)))
      await Promise.all(ending.map(({ released }) => released))
      await backend.close()
      await metadata.close()
      await store.close()
    },
  }
}

function refuseSecret(valueFrom: string): Promise<never> {
  return Promise.reject(new Error(`No secrets are configured: ${valueFrom}`))
}

function refuseFileSystem({ fileSystemId }: MountRequest): Promise<never> {
  return Promise.reject(new MountRefused(`No file systems are configured: ${fileSystemId}`, 1))
}

/** Carries a fault out; `hang` never returns, so that the client waits until it gives up. */
function fail(kind: 'throttle' | 'server-error' | 'hang' | 'lose-answer'): Disturbance | Promise<never> {
  switch (kind) {
    case 'throttle':
      throw new AwsError('ThrottlingException', 'Rate exceeded')
    case 'server-error':
      throw new AwsError('ServerException', 'Service Unavailable. Please try again later.', { statusCode: 500 })
    case 'hang':
      return new Promise(() => {})
    case 'lose-answer':
      return 'lose-answer'
  }
}
