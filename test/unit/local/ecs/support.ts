import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ECSClient, RunTaskCommand, type RunTaskCommandInput, type Task } from '@aws-sdk/client-ecs'
import { onTestFinished } from 'vitest'
import type { TaskLogLine } from '../../../../local/ecs/backend.ts'
import type { ServiceEvent } from '../../../../local/ecs/documents.ts'
import { createEcs, type Ecs, type EcsOptions } from '../../../../local/ecs/ecs.ts'
import { createProcessBackend, type ProcessBackendOptions } from '../../../../local/ecs/process-backend.ts'
import type { ResolvedResource } from '../../../../local/ecs/task-definitions.ts'

export const ACCOUNT = '000000000000'
export const CLUSTER_ARN = `arn:aws:ecs:us-east-1:${ACCOUNT}:cluster/containers`
export const DEFINITION_ARN = `arn:aws:ecs:us-east-1:${ACCOUNT}:task-definition/agent:1`

/** The template of a cluster and one task definition whose container can be varied. */
export function template(
  container: Record<string, unknown> = {},
  rest: Record<string, unknown> = {},
): ResolvedResource[] {
  return [
    {
      logicalId: 'Cluster',
      type: 'AWS::ECS::Cluster',
      ref: 'containers',
      arn: CLUSTER_ARN,
      properties: { ClusterName: 'containers', CapacityProviders: ['FARGATE', 'FARGATE_SPOT'] },
    },
    {
      logicalId: 'AgentTaskDefinition',
      type: 'AWS::ECS::TaskDefinition',
      ref: DEFINITION_ARN,
      arn: DEFINITION_ARN,
      properties: {
        Family: 'agent',
        Cpu: '256',
        Memory: '512',
        NetworkMode: 'awsvpc',
        RequiresCompatibilities: ['FARGATE'],
        ContainerDefinitions: [{ Name: 'agent', Image: 'agent-image:1', Essential: true, ...container }],
        ...rest,
      },
    },
  ]
}

/** Everything events and logs said, with a way to wait for more. */
export interface Witness {
  readonly events: ServiceEvent[]
  readonly lines: TaskLogLine[]
  /** Resolves as soon as `find` returns something, looked at now and after each event or line. */
  until<Found>(find: () => Found | undefined | false): Promise<Found>
  readonly onEvent: (event: ServiceEvent) => void
  readonly onLog: (line: TaskLogLine) => void
}

export function witness(): Witness {
  const events: ServiceEvent[] = []
  const lines: TaskLogLine[] = []
  let waiting: (() => void)[] = []
  const wake = () => {
    const all = waiting
    waiting = []
    for (const resolve of all) resolve()
  }
  return {
    events,
    lines,
    onEvent: (event) => {
      events.push(event)
      wake()
    },
    onLog: (line) => {
      lines.push(line)
      wake()
    },
    async until(find) {
      for (;;) {
        const found = find()
        if (found) return found
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
  }
}

/** A fresh folder that goes with the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ecs-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** An image whose entry point is Node running this program. */
export async function image(program: string): Promise<{ directory: string; entryPoint: string[] }> {
  const directory = await folder()
  await writeFile(join(directory, 'main.mjs'), program)
  return { directory, entryPoint: [process.execPath, join(directory, 'main.mjs')] }
}

/** A started endpoint with client and witness; closed when the test ends. */
export async function startEcs(
  program: string,
  { images, ...options }: Partial<EcsOptions & ProcessBackendOptions> = {},
): Promise<Witness & { ecs: Ecs; client: ECSClient; stateDir: string; run: typeof runOne }> {
  const seen = witness()
  const stateDir = options.stateDir ?? (await folder())
  const local = await image(program)
  const ecs = await createEcs({
    stateDir,
    resources: template(),
    backend: await createProcessBackend({ stateDir, images: images ?? (() => local) }),
    latencies: { provisioningMs: 1, pendingMs: 1, deprovisioningMs: 1 },
    closeGraceMs: 500,
    onEvent: seen.onEvent,
    onLog: seen.onLog,
    ...options,
  })
  onTestFinished(() => ecs.close())
  return { ...seen, ecs, client: clientOf(ecs.url), stateDir, run: runOne }
}

export function clientOf(endpoint: string): ECSClient {
  return new ECSClient({
    endpoint,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
}

export const RUN_INPUT = {
  cluster: 'containers',
  taskDefinition: 'agent',
  launchType: 'FARGATE',
  networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'], securityGroups: ['sg-1'] } },
} satisfies RunTaskCommandInput

/** Runs one task and gives it back as RunTask answered it. */
export async function runOne(
  client: ECSClient,
  input: Partial<RunTaskCommandInput> = {},
): Promise<Task & { taskArn: string }> {
  const { tasks, failures } = await client.send(new RunTaskCommand({ ...RUN_INPUT, ...input }))
  const task = tasks?.[0]
  if (!task?.taskArn) throw new Error(`No task was started: ${JSON.stringify(failures)}`)
  return { ...task, taskArn: task.taskArn }
}

/** The details of a task's events, in the order of arrival. */
export function detailsOf(events: readonly ServiceEvent[], taskArn: string): Record<string, unknown>[] {
  return events.filter((event) => event.resources[0] === taskArn).map((event) => event.detail)
}

/** The detail of a task's STOPPED event, once it is there. */
export function stopped(events: readonly ServiceEvent[], taskArn: string): Record<string, unknown> | undefined {
  return detailsOf(events, taskArn).find((detail) => detail.lastStatus === 'STOPPED')
}
