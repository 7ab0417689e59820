/** Whether the process grows under a steady load: the main thread's heap after a collection, and the whole process. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Runtime } from '../../local/runtime.ts'

const MB = 1024 * 1024
/** Growth that is noise: of the heap after a collection, and of the process. */
const HEAP_SLACK = { share: 0.2, bytes: 16 * MB }
const RSS_SLACK = { share: 0.15, bytes: 128 * MB }
/** An execution environment more is a thread with a heap of its own: not growth, but a function's concurrency. */
const BYTES_PER_ENVIRONMENT = 64 * MB

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

interface Reading {
  /** Heap and buffers that are alive. */
  readonly heap: number
  readonly rss: number
  readonly environments: number
}

export class MemoryAccount {
  readonly #runtime: Pick<Runtime, 'lambda'>
  #first: Reading | undefined
  #last: Reading | undefined

  constructor(runtime: Pick<Runtime, 'lambda'>) {
    this.#runtime = runtime
  }

  begin(): void {
    this.#first = this.#read()
  }

  /** What has grown since `begin` by more than noise. */
  end(): string[] {
    const before = this.#first
    const now = this.#read()
    this.#last = now
    if (!before) return ['Memory was not read after the warm-up']
    const environments = Math.max(0, now.environments - before.environments)
    const heapLimit = before.heap * (1 + HEAP_SLACK.share) + HEAP_SLACK.bytes
    const rssLimit = before.rss * (1 + RSS_SLACK.share) + RSS_SLACK.bytes + environments * BYTES_PER_ENVIRONMENT
    return [
      ...(now.heap > heapLimit ? [`The heap grew: ${this}`] : []),
      ...(now.rss > rssLimit ? [`The process grew: ${this}`] : []),
    ]
  }

  toString(): string {
    const show = (reading: Reading | undefined) =>
      reading
        ? `heap ${(reading.heap / MB).toFixed(0)} MB, process ${(reading.rss / MB).toFixed(0)} MB, ${reading.environments} environments started`
        : 'unread'
    return `after warm-up ${show(this.#first)}; at the end ${show(this.#last)}`
  }

  #read(): Reading {
    collect()
    const { heapUsed, external, rss } = process.memoryUsage()
    const environments = Object.values(this.#runtime.lambda.metrics()).reduce(
      (sum, { coldStarts }) => sum + coldStarts,
      0,
    )
    return { heap: heapUsed + external, rss, environments }
  }
}
