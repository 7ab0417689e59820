/** The mirror's thread: pass after pass until it is ended. */
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { Mirror, type MirrorOptions } from './mirror.ts'
import { MIRROR_EFFORT, type MirrorNews, type MirrorTimings } from './mirror-thread.ts'
import { TreeMissing, TreeTooLarge, TreeWithheld } from './scan.ts'

const { options, timings } = workerData as { readonly options: MirrorOptions; readonly timings: MirrorTimings }

const tell = (news: MirrorNews): void => parentPort?.postMessage(news)

function whyNot(error: unknown): MirrorNews {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof TreeMissing) return { type: 'waiting', missing: true, why: message }
  if (error instanceof TreeTooLarge || error instanceof TreeWithheld)
    return { type: 'waiting', missing: false, why: message }
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return { type: 'waiting', missing: false, why: "The preview's disk is full: the working tree could not be copied" }
  return { type: 'waiting', missing: false, why: `The working tree could not be copied: ${message}` }
}

let mirror: Mirror | undefined
for (;;) {
  const began = performance.now()
  try {
    mirror ??= new Mirror(options)
    tell({ type: 'pass', pass: await mirror.pass() })
  } catch (error) {
    tell(whyNot(error))
  }
  const took = performance.now() - began
  await delay(Math.min(timings.maxPauseMs, Math.max(timings.minPauseMs, took * MIRROR_EFFORT)))
}
