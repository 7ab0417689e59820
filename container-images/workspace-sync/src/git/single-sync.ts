import { spawn } from 'node:child_process'
import { type FileHandle, open } from 'node:fs/promises'
import { SyncProblem } from './types.ts'

/**
 * One sync a team. The control plane runs one task at a time, but a task that is being stopped may still work for two minutes while the
 * next one starts. `flock` on a file of the team's: the lock belongs to the open file, so it lasts as long as this process or any git
 * process that inherited it, also after SIGKILL, and ends with the last of them; over NFS (EFS) it is the server's and ends with
 * the client's lease. No clock and no generation has to be compared. Throws `SyncProblem`.
 */
export async function lockAgainstSecondSync(
  file: string,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<FileHandle> {
  const handle = await open(file, 'a+', 0o600)
  const child = spawn('flock', ['--exclusive', '--timeout', String(waitSeconds), '3'], {
    stdio: ['ignore', 'ignore', 'pipe', handle.fd],
    signal,
    killSignal: 'SIGKILL',
  })
  let errors = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-500)
  })
  const problem = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(`The workspace could not be locked: ${error.message}`))
    child.on('close', (code) => {
      if (code === 0) resolve(undefined)
      else if (code === 1) resolve('Another workspace sync of this team is still at work')
      else resolve(`The workspace could not be locked: ${errors.trim() || `flock ended with ${code}`}`)
    })
  })
  if (problem === undefined) return handle
  await handle.close()
  throw new SyncProblem(problem, 'failed')
}
