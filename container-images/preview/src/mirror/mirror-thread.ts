import { Worker } from 'node:worker_threads'
import type { MirrorOptions, Pass } from './mirror.ts'

/** What the thread tells. `waiting`: the tree is not there, or `why` says what else is in the way; it is tried again. */
export type MirrorNews =
  | { readonly type: 'pass'; readonly pass: Pass }
  | { readonly type: 'waiting'; readonly why: string; readonly missing: boolean }

export type MirrorTimings = {
  /** Milliseconds between two passes: `effort` times what the last one took, within these bounds. */
  readonly minPauseMs: number
  readonly maxPauseMs: number
}

export const MIRROR_TIMINGS: MirrorTimings = { minPauseMs: 500, maxPauseMs: 2_000 }

/** A pass of 50 ms is followed by a second's pause: a twentieth of one CPU, of which a preview has half. */
export const MIRROR_EFFORT = 20

/** Keeps a mirror in step from a thread of its own, until `stop`. */
export class MirrorThread {
  readonly #worker: Worker

  /** `news` is called for each pass; `failed` when the thread itself has a fault. */
  constructor(
    options: MirrorOptions,
    timings: MirrorTimings,
    handlers: { readonly news: (news: MirrorNews) => void; readonly failed: (error: Error) => void },
  ) {
    this.#worker = new Worker(new URL('./mirror-worker.ts', import.meta.url), {
      workerData: { options, timings },
      // No memory is needed for it that a tree of the greatest size does not need.
      resourceLimits: { maxOldGenerationSizeMb: 192 },
    })
    this.#worker.on('message', handlers.news)
    this.#worker.on('error', handlers.failed)
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners('message')
    await this.#worker.terminate()
  }
}
