import { join } from 'node:path'
import { taskIdOf } from './types.ts'

/** Where a task keeps what is its own: volumes, HOME and logs. Removed when the task is forgotten. */
export function taskDirectory(stateDir: string, taskArn: string): string {
  return join(stateDir, 'tasks', taskIdOf(taskArn))
}
