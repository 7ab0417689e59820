import { join } from 'node:path'
import * as z from 'zod'
import { createStateFile, readStateFile } from '../ecs/state-file.ts'

const StateSchema = z.object({ deployments: z.number().int().min(1) })

/**
 * Counts the deployments over a state folder: every start is one. What cannot be changed after it was made, a task definition, is another
 * one in each, because ports and addresses of this machine stand in it; what was copied from the last is known to be old by that.
 * Answers 1 for a new folder. Rejects when the file is damaged.
 */
export async function nextDeployment(stateDir: string): Promise<number> {
  const path = join(stateDir, 'deployments.json')
  const before = await readStateFile(path)
  const parsed = StateSchema.optional().safeParse(before)
  if (!parsed.success) throw new Error(`${path} holds no count of deployments; start afresh with --reset`)
  const deployments = (parsed.data?.deployments ?? 0) + 1
  await createStateFile(path, () => JSON.stringify({ deployments })).save()
  return deployments
}
