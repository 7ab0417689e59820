/** What the functions that start, observe and stop tasks are made of, from the variables their capabilities bring. */
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createTaskReader, createTaskRunner, createTaskStopper } from '../adapters/ecs/task-api.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import { createWorkQueue } from '../adapters/sqs/work-queue.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { systemClock } from '../domain/clock.ts'
import type { ContainerLog, ObserveDeps, StartDeps } from '../domain/environments/operations.ts'
import type { ReconcileDeps } from '../domain/environments/reconcile.ts'
import type { Environment } from '../domain/environments/schema.ts'
import { logger } from './logger.ts'
import { publisher } from './realtime-deps.ts'

/** Fields by which log lines about a record are found. */
export const environmentLogFields = (record: Environment) => ({
  teamId: record.teamId,
  agentId: record.id,
  containerId: record.id,
  containerType: record.type,
  generation: record.generation,
  attempt: record.attempt,
  status: record.status,
})

/** The integration guide's log events, with its names and fields. */
const containerLog: ContainerLog = {
  agentStarted: (record) => logger.info('Docker agent started', environmentLogFields(record)),
  containerError: (record) =>
    logger.error('Container error', { ...environmentLogFields(record), error: record.reason }),
}

export function observeDeps(env: FunctionEnv<'on-task-state-changed'>): ObserveDeps {
  return {
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE),
    publish: publisher(env),
    clock: systemClock,
    tasks: createTaskStopper(env.CLUSTER_ARN),
    queue: createWorkQueue(env.WORK_QUEUE_URL),
    log: containerLog,
  }
}

export function reconcileDeps(env: FunctionEnv<'reconcile-tasks'>): ReconcileDeps {
  const deps = observeDeps(env)
  return {
    ...deps,
    tasks: { ...deps.tasks, ...createTaskReader(env.CLUSTER_ARN) },
  }
}

export function startDeps(env: FunctionEnv<'on-work'>): StartDeps {
  const secrets = createSecrets({ linkSecretId: env.LINK_SECRET_ID })
  return {
    ...observeDeps(env),
    tasks: { ...createTaskRunner(env), ...createTaskStopper(env.CLUSTER_ARN) },
    linkSecret: () => secrets.linkSecret(),
  }
}
