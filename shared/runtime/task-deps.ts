/** What the functions that start, observe and stop tasks are made of, from the variables their capabilities bring. */
import { v7 as uuidv7 } from 'uuid'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../adapters/dynamodb/ledger-store.ts'
import { createPreviewVisits } from '../adapters/dynamodb/preview-directory.ts'
import { createTeamStore } from '../adapters/dynamodb/team-store.ts'
import { createTaskReader, createTaskRunner, createTaskStopper } from '../adapters/ecs/task-api.ts'
import { createTaskDefinitions } from '../adapters/ecs/team-definitions.ts'
import { createAccessPoints } from '../adapters/efs/access-points.ts'
import { createTeamRoles } from '../adapters/iam/team-roles.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import { createTeamSecrets } from '../adapters/secrets-manager/team-secrets.ts'
import { createWorkQueue } from '../adapters/sqs/work-queue.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { systemClock } from '../domain/clock.ts'
import type { ContainerLog, ObserveDeps, StartDeps } from '../domain/environments/operations.ts'
import type { ReconcileDeps } from '../domain/environments/reconcile.ts'
import type { Environment } from '../domain/environments/schema.ts'
import type { PreviewDeps } from '../domain/previews/operations.ts'
import { type PrepareDeps, prepareTeamTask } from '../domain/teams/prepare.ts'
import type { RemovalDeps } from '../domain/teams/removal.ts'
import type { TendDeps } from '../domain/teams/tend.ts'
import { logger } from './logger.ts'
import { linkPosting, publisher } from './realtime-deps.ts'

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
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE, env.PREVIEWS_TABLE),
    publish: publisher(env),
    clock: systemClock,
    tasks: createTaskStopper(env.CLUSTER_ARN),
    queue: createWorkQueue(env.WORK_QUEUE_URL),
    log: containerLog,
  }
}

const warn = (message: string, fields: Record<string, unknown>) => logger.warn(message, fields)

export function reconcileDeps(env: FunctionEnv<'reconcile-tasks'>): ReconcileDeps & TendDeps {
  const deps = observeDeps(env)
  return {
    ...deps,
    tasks: { ...deps.tasks, ...createTaskReader(env.CLUSTER_ARN) },
    teams: createTeamStore(documentClient(), env.ENVIRONMENTS_TABLE),
    ledger: createLedgerStore(documentClient(), env.ENVIRONMENTS_TABLE),
    visits: createPreviewVisits(documentClient(), env.PREVIEWS_TABLE),
    previewIdleMs: env.PREVIEW_IDLE_MINUTES * 60_000,
    warn,
  }
}

type WorkEnv = FunctionEnv<'on-work'>

/** What makes and removes what a team's tasks run from. */
function prepareDeps(env: WorkEnv): PrepareDeps {
  return {
    teams: createTeamStore(documentClient(), env.ENVIRONMENTS_TABLE),
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE, env.PREVIEWS_TABLE),
    accessPoints: createAccessPoints(env),
    roles: createTeamRoles(env),
    definitions: createTaskDefinitions(env),
    clock: systemClock,
    newId: () => uuidv7(),
    warn,
  }
}

/** What the queue's worker needs for records, and for teams. */
export function workDeps(env: WorkEnv): StartDeps & RemovalDeps & PreviewDeps {
  const secrets = createSecrets({ linkSecretId: env.LINK_SECRET_ID })
  const preparing = prepareDeps(env)
  return {
    ...observeDeps(env),
    ...preparing,
    tasks: { ...createTaskRunner(env), ...createTaskStopper(env.CLUSTER_ARN) },
    prepare: (record) => prepareTeamTask(record, preparing),
    ...linkPosting(env),
    secrets: createTeamSecrets(env.TEAM_SECRETS_PREFIX),
    linkSecret: () => secrets.linkSecret(),
  }
}
