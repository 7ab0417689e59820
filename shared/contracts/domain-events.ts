/** Facts this control plane puts on its event bus after they are committed; at least once, so consumers de-duplicate by `id`. */
import * as z from 'zod'

export const EVENT_SOURCE = 'covibes.control-plane'

const envelope = <N extends string, S extends z.ZodType>(type: N, version: number, data: S) =>
  z.object({
    /** `<team>/<ledger sequence>`: the same fact always has the same id. */
    id: z.string(),
    type: z.literal(type),
    version: z.literal(version),
    occurredAt: z.string(),
    correlationId: z.string(),
    data,
  })

export const domainEvents = {
  'environment.status-changed': envelope(
    'environment.status-changed',
    1,
    z.object({
      teamId: z.string(),
      environmentId: z.string(),
      environmentType: z.enum(['agent', 'preview', 'sync']),
      generation: z.number().int(),
      from: z.string().nullable(),
      to: z.string(),
      cause: z.string(),
      reason: z.string().optional(),
    }),
  ),
} as const
export type DomainEvent = z.infer<(typeof domainEvents)[keyof typeof domainEvents]>

/** Events that come in: detail-type of the rule that feeds the task-state function. */
export const ECS_TASK_STATE_CHANGE = { source: 'aws.ecs', detailType: 'ECS Task State Change' } as const
