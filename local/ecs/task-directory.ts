import { realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { taskIdOf } from './types.ts'

/** Where a task keeps its HOME and its logs. Removed when the task is forgotten. */
export function taskDirectory(stateDir: string, taskArn: string): string {
  return join(stateDir, 'tasks', taskIdOf(taskArn))
}

/**
 * The disk of a task that is a process: its own volumes. Gone with the task, as Fargate's ephemeral storage is. In the system's folder for
 * temporary files, because the state may lie inside of a project, and tools look for what a project belongs to in the folders above it
 * (Next.js for a lockfile, git for a repository). Nobody else can have made it: the id has 128 random bits.
 */
export function taskDisk(taskArn: string): string {
  return join(realpathSync(tmpdir()), `covibes-task-${taskIdOf(taskArn)}`)
}
