/** Which working trees workspace sync keeps for previews, beside the one that agents share. */
import type * as z from 'zod'
import type { PreviewTreesSchema } from '../../contracts/preview-link.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import { isFinal } from '../environments/transitions.ts'
import { type PreviewOwner, previewIdOf } from './record.ts'

export type PreviewTrees = z.infer<typeof PreviewTreesSchema>

/** Branches whose preview runs or is to run. */
export async function previewTrees(
  team: PreviewOwner,
  { environments }: { readonly environments: Pick<EnvironmentStore, 'get'> },
): Promise<PreviewTrees> {
  const branches = ['main', 'staging'] as const
  const records = await Promise.all(
    branches.map((branch) => environments.get({ teamId: team.teamId, id: previewIdOf(team, branch) })),
  )
  return branches.filter((_, n) => {
    const record = records[n]
    if (!record || record.deletedAt !== undefined || isFinal(record.status)) return false
    return record.status !== 'stopping' || record.restart !== undefined
  })
}
