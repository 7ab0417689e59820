import { randomUUID } from 'node:crypto'
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Log } from '../../../common/src/log.ts'
import { ArchiveUnusable, pack, unpack } from './archive.ts'
import { type Measure, measure } from './measure.ts'

/** Bounds and waits of what outlives a preview, in one place so that tests can shorten them. */
export type CacheLimits = {
  /** Bytes of what is kept, unpacked, and so of the file. */
  readonly bytes: number
  readonly files: number
  /** Milliseconds until an install does without what was kept: a registry is nearer than a file system that hangs. */
  readonly unpackMs: number
  readonly packMs: number
  /** Milliseconds after which a half-written file is one that its preview has left behind: longer than `packMs`. */
  readonly leftoverMs: number
}

export const CACHE_LIMITS: CacheLimits = {
  bytes: 768 * 1024 ** 2,
  files: 200_000,
  unpackMs: 60_000,
  packMs: 5 * 60_000,
  leftoverMs: 60 * 60_000,
}

/** The one file that is kept. By platform: package managers keep what they have compiled, too. */
export const KEPT_FILE = `packages-${process.platform}-${process.arch}.tar.gz`
const PARTIAL = /^\.packages-.*\.partial$/
/** Files that do not belong there are removed, this many at a start. */
const MAX_SWEPT = 100
/** Logs of runs, and what is half written. */
const LEFT_OUT = ['npm/_logs', 'npm/_cacache/tmp', 'npm/_update-notifier-last-checked']

export type PackageCacheOptions = {
  /** Outlives the task; the team's other previews and what runs in them write it, too. May be slow, full, or not there. */
  readonly kept: string
  /** On the task's own disk, where package managers have their caches. */
  readonly working: string
  /** For the preview's log, which members read. */
  readonly say: (text: string) => void
  readonly log: Log
  readonly limits?: Partial<CacheLimits>
}

/**
 * What package managers have fetched, from one task to the next: one compressed file that is unpacked at the start and written again when
 * an install has added something (docs/previews.md says why it is not the caches themselves). Nothing of this ever fails a preview or
 * rejects: without it packages come from their registry. Previews of one team may do this at once: the file is replaced whole, and the
 * last one wins.
 */
export class PackageCache {
  readonly #options: PackageCacheOptions
  readonly #limits: CacheLimits
  readonly #stop = new AbortController()
  #restored: Promise<void> | undefined
  #restoredAs: Measure | undefined
  #sweeping: Promise<void> | undefined
  #isDirty = false
  #saving: { readonly cancel: AbortController; readonly done: Promise<void> } | undefined

  constructor(options: PackageCacheOptions) {
    this.#options = options
    this.#limits = { ...CACHE_LIMITS, ...options.limits }
  }

  /** Unpacks what was kept, once. To be called before the first install; resolves when that may begin. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore()
    return this.#restored
  }

  /** An install begins: what is being kept would be half of its work. */
  async installing(): Promise<void> {
    await this.restore()
    if (!this.#saving) return
    this.#isDirty = true
    this.#saving.cancel.abort()
    await this.#saving.done
  }

  /** An install has succeeded: what it has added is kept when `settled` says that there is time for it. */
  installed(): void {
    this.#isDirty = true
  }

  /** The preview is up, or will not be: keeping takes a CPU that its start has needed until now. */
  settled(): void {
    if (!this.#isDirty || this.#saving || this.#stop.signal.aborted) return
    this.#isDirty = false
    const cancel = new AbortController()
    const done = this.#save(cancel.signal).finally(() => {
      this.#saving = undefined
    })
    this.#saving = { cancel, done }
  }

  /** When nothing is in its place that does not belong there: begun by `restore`, and waited for by no install. */
  async tidied(): Promise<void> {
    await this.restore()
    await this.#sweeping
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all([this.#restored, this.#sweeping, this.#saving?.done])
  }

  async #restore(): Promise<void> {
    const { kept, working, say, log } = this.#options
    const unpacking = `${working}.unpacking`
    const file = path.join(kept, KEPT_FILE)
    const began = performance.now()
    const late = AbortSignal.timeout(this.#limits.unpackMs)
    try {
      if ((await readdir(working).catch(() => [])).length > 0) {
        // A restart on the same disk.
        this.#restoredAs = await this.#measure()
        return
      }
      await rm(unpacking, { recursive: true, force: true })
      await mkdir(unpacking, { recursive: true })
      const bytes = await this.#inTime(
        (signal) => unpack(file, unpacking, this.#limits.bytes, signal),
        late,
        this.#stop.signal,
      )
      if (bytes !== undefined) {
        await rm(working, { recursive: true, force: true })
        await rename(unpacking, working)
        this.#restoredAs = await this.#measure()
        const seconds = ((performance.now() - began) / 1000).toFixed(1)
        say(`Packages of earlier installs are here: ${megabytes(bytes)} in ${seconds} s`)
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const why = late.aborted ? `not done within ${this.#limits.unpackMs / 1000} s` : messageOf(error)
      log('WARN', 'Packages of earlier installs cannot be used', { why })
      say(`Packages of earlier installs cannot be used, they are fetched again: ${why}`)
      if (error instanceof ArchiveUnusable) await this.#remove(file)
    } finally {
      await this.#remove(unpacking)
      await mkdir(working, { recursive: true }).catch((error: unknown) =>
        log('WARN', 'There is no place for packages', { why: messageOf(error) }),
      )
    }
    this.#sweeping = this.#sweep()
  }

  async #save(cancelled: AbortSignal): Promise<void> {
    const { kept, working, say, log } = this.#options
    const file = path.join(kept, KEPT_FILE)
    const partial = path.join(kept, `.packages-${randomUUID()}.partial`)
    const late = AbortSignal.timeout(this.#limits.packMs)
    try {
      const found = await this.#measure()
      if (found?.files === 0 || (found && found.digest === this.#restoredAs?.digest)) return
      if (!found || found.tarBytes > this.#limits.bytes) {
        // Begun anew: the next start has none, and then keeps what is used now.
        const what = found ? megabytes(found.tarBytes) : `more than ${this.#limits.files} files`
        say(`Packages are not kept for the next start: ${what} is more than the ${this.#limit()} that may be`)
        await this.#remove(file)
        return
      }
      const bytes = await this.#inTime(
        (signal) => pack(working, partial, LEFT_OUT, this.#limits.bytes, signal),
        late,
        this.#stop.signal,
        cancelled,
      )
      await rename(partial, file)
      this.#restoredAs = found
      say(`Packages are kept for the next start: ${megabytes(bytes)}`)
    } catch (error) {
      await this.#remove(partial)
      if (this.#stop.signal.aborted || cancelled.aborted) return
      const why = late.aborted ? `not done within ${this.#limits.packMs / 1000} s` : messageOf(error)
      log('WARN', 'Packages are not kept for the next start', { why })
      say(`Packages are not kept for the next start: ${why}`)
    }
  }

  /** Rejects when a signal aborts, even if a file system that hangs keeps the work itself from ending. */
  async #inTime<T>(work: (signal: AbortSignal) => Promise<T>, ...signals: AbortSignal[]): Promise<T> {
    const signal = AbortSignal.any(signals)
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([work(signal), aborted.promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #measure(): Promise<Measure | undefined> {
    return measure(this.#options.working, LEFT_OUT, this.#limits.files)
  }

  #limit(): string {
    return `${megabytes(this.#limits.bytes)} in ${this.#limits.files} files`
  }

  /** Halves that previews have left when they were killed, and what is none of this program's. */
  async #sweep(): Promise<void> {
    const { kept, log } = this.#options
    try {
      const others = (await readdir(kept)).filter((name) => name !== KEPT_FILE).slice(0, MAX_SWEPT)
      for (const name of others) {
        if (this.#stop.signal.aborted) return
        const place = path.join(kept, name)
        if (PARTIAL.test(name) && Date.now() - (await lstat(place)).mtimeMs < this.#limits.leftoverMs) continue
        await rm(place, { recursive: true, force: true })
      }
    } catch (error) {
      log('WARN', 'The kept packages are not tidied up', { why: messageOf(error) })
    }
  }

  async #remove(place: string): Promise<void> {
    try {
      await rm(place, { recursive: true, force: true })
    } catch (error) {
      this.#options.log('WARN', 'Something of the kept packages cannot be removed', { place, why: messageOf(error) })
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MB`
