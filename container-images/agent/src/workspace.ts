import { stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** The workspace did not become ready; the message is for a person. */
export class WorkspaceError extends Error {
  override readonly name = 'WorkspaceError'
}

export type WorkspaceWait = {
  readonly patienceMs: number
  readonly abort: AbortSignal
  /** Takes what is shown in the terminal. */
  readonly show: (text: string) => void
  /** Milliseconds between two looks: another client's changes on EFS raise no event. */
  readonly lookEveryMs?: number
}

/**
 * Resolves when the directory is there: workspace sync lets it appear, by a rename, when the working tree is complete. Says once
 * in the terminal that it waits. Rejects with `WorkspaceError` when it does not appear in time, or is something else.
 */
export async function waitForWorkspace(directory: string, wait: WorkspaceWait): Promise<void> {
  const deadline = performance.now() + wait.patienceMs
  for (let looks = 0; ; looks++) {
    if (await isDirectory(directory)) return
    if (wait.abort.aborted) throw new WorkspaceError('The wait for the workspace was interrupted')
    const left = deadline - performance.now()
    if (left <= 0)
      throw new WorkspaceError(
        `The team's workspace was not ready within ${Math.round(wait.patienceMs / 1000)} s: workspace sync says why`,
      )
    if (looks === 0) wait.show("Waiting for the team's workspace…\n")
    // An abort ends the wait; it is told above.
    await delay(Math.min(left, wait.lookEveryMs ?? 500), undefined, { signal: wait.abort }).catch(() => undefined)
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return false
    throw new WorkspaceError(`The workspace cannot be used: ${message}`)
  }
  throw new WorkspaceError(`The workspace cannot be used: ${path} is not a directory`)
}
