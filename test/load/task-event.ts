import * as z from 'zod'

/** ECS's `Task State Change` as the local EventBridge is given it: what these tools read of it, and all the rest. */
export const TaskEventSchema = z.looseObject({
  version: z.string(),
  id: z.string(),
  'detail-type': z.string(),
  source: z.literal('aws.ecs'),
  account: z.string(),
  time: z.string(),
  region: z.string(),
  resources: z.array(z.string()),
  detail: z.looseObject({
    startedBy: z.string(),
    version: z.number(),
    lastStatus: z.string(),
    taskDefinitionArn: z.string(),
    containers: z.array(z.looseObject({})),
  }),
})
export type TaskEvent = z.infer<typeof TaskEventSchema>
