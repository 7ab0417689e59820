/**
 * Workspace sync without its processes: all that agents wait for is that ECS has told that their team's sync task runs. Tasks that
 * stay in PROVISIONING are said to run by an event as ECS would send it.
 */
import { ECSClient, ListTasksCommand, StopTaskCommand } from '@aws-sdk/client-ecs'
import * as z from 'zod'
import type { Runtime } from '../../local/runtime.ts'
import { TaskEventSchema } from './task-event.ts'

type Parts = Pick<Runtime, 'eventBridge'>

export class SyncTasks {
  #eventBridge: Parts['eventBridge'] | undefined

  /** To be called once the product has started, before any team has agents. */
  attach({ eventBridge }: Parts): void {
    this.#eventBridge = eventBridge
  }

  /** For the runtime's `onTraffic`. */
  observe = (where: string, content: string): void => {
    if (where !== 'event') return
    const event = TaskEventSchema.parse(JSON.parse(content))
    const isOurs = event.detail.taskDefinitionArn.includes('-sync-')
    if (!isOurs || event.detail.lastStatus !== 'PROVISIONING') return
    const { detail } = event
    const runs = { ...detail, lastStatus: 'RUNNING', startedAt: event.time, version: detail.version + 1 }
    // Behind what observes this event, too.
    setImmediate(() => this.#eventBridge?.putServiceEvent({ ...event, id: crypto.randomUUID(), detail: runs }))
  }
}

const ArnsSchema = z.array(z.string())

/** Stops every task that lives, so that others find room: the local ECS has it for a hundred. */
export async function stopAllTasks({ ecs: { url: endpoint }, ...runtime }: Runtime): Promise<void> {
  const cluster = runtime.functionOf('reconcile-tasks').environment.CLUSTER_ARN
  if (cluster === undefined) throw new Error('The template names no cluster')
  const ecs = new ECSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  })
  for (;;) {
    const { taskArns } = await ecs.send(new ListTasksCommand({ cluster }))
    const arns = ArnsSchema.parse(taskArns ?? [])
    if (arns.length === 0) break
    for (const task of arns) await ecs.send(new StopTaskCommand({ cluster, task }))
  }
  ecs.destroy()
}
