import { DescribedTaskSchema } from '../../shared/adapters/ecs/task-schema.ts'
import { functionEnv } from '../../shared/contracts/functions.ts'
import { observeTask } from '../../shared/domain/environments/operations.ts'
import { eventHandler } from '../../shared/runtime/async-handlers.ts'
import { observeDeps } from '../../shared/runtime/task-deps.ts'

const deps = observeDeps(functionEnv('on-task-state-changed', process.env))

export const handler = eventHandler(DescribedTaskSchema, (task) => observeTask(task, deps))
