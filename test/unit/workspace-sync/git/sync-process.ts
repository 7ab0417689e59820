/** The git engine as a process of its own, so that a test can kill it: `node sync-process.ts <root> <url>`, told what to do over IPC. */

import { createWorkspaceSync } from '../../../../container-images/workspace-sync/src/git/workspace-sync.ts'
import type { SyncReport } from '../../../../shared/contracts/link.ts'

export type SyncOrder = 'prepare' | 'round' | 'finish'
export type SyncAnswer = { readonly done: SyncOrder; readonly report: SyncReport | undefined; readonly error?: string }

const [root = '', url = ''] = process.argv.slice(2)
let report: SyncReport | undefined
const sync = createWorkspaceSync({
  root,
  repository: { url, gitEnvironment: async () => ({ GIT_ALLOW_PROTOCOL: 'file' }) },
  authors: async () => [{ name: 'Agent', email: 'agent@agents.covibes.invalid' }],
  report: (latest) => {
    report = latest
  },
  clock: { now: () => new Date() },
  log: (level, message, fields) => {
    if (level !== 'INFO') process.stderr.write(`${level} ${message} ${JSON.stringify(fields ?? {})}\n`)
  },
  signal: new AbortController().signal,
})

async function obey(order: SyncOrder): Promise<void> {
  let error: string | undefined
  try {
    if (order === 'finish') await sync.finish(new Date(Date.now() + 20_000))
    else await sync[order]()
  } catch (reason) {
    error = (reason as Error).message
  }
  process.send?.({ done: order, report, ...(error === undefined ? {} : { error }) } satisfies SyncAnswer)
}

process.on('message', (order: SyncOrder) => void obey(order))
process.on('disconnect', () => process.exit(0))
