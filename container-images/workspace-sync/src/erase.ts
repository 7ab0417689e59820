import { realpath } from 'node:fs/promises'
import { emptyDirectory } from './safe-files/remove.ts'
import { SafeDirectory } from './safe-files/safe-directory.ts'

/** Removes everything below the team's root, not the root itself, and follows no link that an agent has left. Throws `SafeFileError`. */
export async function eraseTeam(teamRoot: string): Promise<void> {
  const root = await SafeDirectory.open(await realpath(teamRoot))
  try {
    await emptyDirectory(root)
  } finally {
    await root.close()
  }
}
