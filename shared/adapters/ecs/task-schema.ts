/**
 * A task as ECS tells it, in an event's `detail` or in an API answer, reduced to what the domain reads. Fields as in the
 * "Task state change events" page of the ECS developer guide and DescribeTasks' reference.
 */
import * as z from 'zod'
import type { DescribedTask } from '../../domain/environments/tasks.ts'

/** Events carry ISO strings, the SDK gives Dates. */
const time = z.union([z.string(), z.date()]).transform((value) => new Date(value).toISOString())

export const EcsTaskSchema = z.object({
  taskArn: z.string().min(1),
  version: z.number().int().min(0),
  lastStatus: z.string(),
  desiredStatus: z.string(),
  startedBy: z.string().optional(),
  stopCode: z.string().optional(),
  stoppedReason: z.string().optional(),
  createdAt: time.optional(),
  startedAt: time.optional(),
  stoppedAt: time.optional(),
  attachments: z
    .array(
      z.object({
        details: z.array(z.object({ name: z.string().optional(), value: z.string().optional() })).default([]),
      }),
    )
    .default([]),
  containers: z
    .array(
      z.object({
        name: z.string().optional(),
        exitCode: z.number().int().optional(),
        reason: z.string().optional(),
      }),
    )
    .default([]),
})

/** Our tasks have one container; ECS says nothing of others (no sidecars, no Service Connect). */
export const DescribedTaskSchema = EcsTaskSchema.transform(
  ({ taskArn, containers, attachments, ...task }): DescribedTask => {
    const container = containers[0]
    // One network interface (awsvpc): its address is there as soon as the interface is, before the container.
    const address = attachments
      .flatMap(({ details }) => details)
      .find(({ name }) => name === 'privateIPv4Address')?.value
    return {
      ...task,
      arn: taskArn,
      ...(address ? { address } : {}),
      ...(container ? { container: { exitCode: container.exitCode, reason: container.reason } } : {}),
    }
  },
)
