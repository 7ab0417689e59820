import { statfsSync } from 'node:fs'
import { mkdir, readdir, readlink, rename, rm, rmdir, symlink, unlink } from 'node:fs/promises'
import path from 'node:path'
import { type Copied, copyFile } from './copy.ts'
import { isMirrored } from './names.ts'
import { type Entry, type FileEntry, type Scan, type ScanLimits, sameFile, scanTree } from './scan.ts'

export type MirrorOptions = {
  /** The team's working tree; never written to. */
  readonly source: string
  /** The task's own copy. */
  readonly target: string
  /** On the target's file system and outside it: files are written here and renamed into the copy. */
  readonly staging: string
  readonly limits?: Partial<ScanLimits>
}

/** 20,000 source files are a large repository; Fargate's disk has 20 GB. */
export const MIRROR_LIMITS: ScanLimits = {
  maxEntries: 50_000,
  maxBytes: 2 * 1024 ** 3,
  maxFileBytes: 256 * 1024 ** 2,
}

export type Pass = {
  /** Paths that are new or have another content now, and those that are gone. */
  readonly changed: readonly string[]
  readonly removed: readonly string[]
  /** Files to be copied by the next pass: they were being written. */
  readonly postponed: number
  /** What is not in the copy, `<path>: <why>`; the first of it. */
  readonly leftOut: readonly string[]
  /** All package.json files, the first of them. */
  readonly manifests: readonly string[]
  readonly entries: number
  /** Milliseconds for looking, and for copying. */
  readonly scanMs: number
  readonly applyMs: number
}

/** Files that are copied at once: on NFS each waits for the network three times. */
const CONCURRENCY = 16
const MAX_NAMED = 20
const MAX_MANIFESTS = 500
/** Of Linux's statfs(2). */
const NFS_SUPER_MAGIC = 0x6969
/** Files that one pass asks the server for on NFS, of which this many changed last. */
const ASKED = 200
const HOT = 100

/**
 * Keeps a copy of a tree in step with it, pass by pass. Each file appears in the copy at once and whole; one whose content is what it was is not
 * touched, so a dev server sees one change for each change. What others made in the copy stays, unless something of the tree
 * takes its place.
 */
export class Mirror {
  readonly #options: MirrorOptions
  readonly #limits: ScanLimits
  readonly #applied = new Map<string, Entry>()
  /** Seen empty once, after they had content: most writers empty a file before they fill it. */
  readonly #emptied = new Set<string>()
  /** Changed last, the newest last. */
  readonly #hot = new Set<string>()
  #asksServer = false
  #cursor = 0
  #began = false

  constructor(options: MirrorOptions) {
    this.#options = options
    this.#limits = { ...MIRROR_LIMITS, ...options.limits }
  }

  /**
   * Looks at the tree and brings the copy up to date. Rejects with `TreeMissing`, `TreeTooLarge`, or the system's error when the tree
   * cannot be read or the copy cannot be written.
   */
  async pass(): Promise<Pass> {
    const began = performance.now()
    const scan = scanTree(this.#options.source, this.#limits, this.#asked())
    const scanned = performance.now()
    if (!this.#began) {
      this.#asksServer = statfsSync(this.#options.source).type === NFS_SUPER_MAGIC
      await mkdir(this.#options.target, { recursive: true })
      await rm(this.#options.staging, { recursive: true, force: true })
      await mkdir(this.#options.staging, { recursive: true })
      await clear(this.#options.target)
      this.#began = true
    }
    const result = await this.#apply(scan)
    return {
      ...result,
      manifests: manifestsOf(scan),
      entries: scan.entries.size,
      scanMs: scanned - began,
      applyMs: performance.now() - scanned,
    }
  }

  /** Which files this pass asks the server for: those that changed last, and some more each time. */
  #asked(): (path: string) => boolean {
    if (!this.#asksServer) return () => false
    const from = this.#cursor
    this.#cursor = from + ASKED - HOT >= this.#applied.size ? 0 : from + ASKED - HOT
    let index = 0
    return (name) => {
      const position = index++
      return this.#hot.has(name) || (position >= from && position < from + ASKED - HOT)
    }
  }

  async #apply({
    entries,
    leftOut,
    unread,
  }: Scan): Promise<Pick<Pass, 'changed' | 'removed' | 'postponed' | 'leftOut'>> {
    const changed: string[] = []
    const named = [...leftOut]
    const files: [string, FileEntry][] = []
    const gone = [...this.#applied.keys()].filter(
      (name) =>
        entries.get(name)?.kind !== this.#applied.get(name)?.kind &&
        !unread.some((path) => name.startsWith(`${path}/`)),
    )
    // What becomes something else makes room first; what is only gone goes last, because others may still refer to it.
    const replaced = gone.filter((name) => entries.has(name))
    for (const name of replaced.toReversed()) await this.#remove(name)
    for (const [name, entry] of entries) {
      const before = this.#applied.get(name)
      if (entry.kind === 'file') {
        if (before?.kind !== 'file' || !sameFile(before, entry)) files.push([name, entry])
      } else if (entry.kind === 'directory') {
        if (!before) await this.#makeDirectory(name)
      } else if (before?.kind !== 'link' || before.target !== entry.target) {
        await this.#link(name, entry.target)
        changed.push(name)
      }
    }
    let postponed = 0
    await inParallel(files, CONCURRENCY, async ([name, entry]) => {
      const copied = await this.#copy(name, entry)
      if (copied === 'changed') changed.push(name)
      else if (copied === 'again') postponed++
      else if (copied !== 'same') named.push(`${name}: ${copied.failed}`)
    })
    const removed = gone.filter((name) => !entries.has(name))
    for (const name of removed.toReversed()) await this.#remove(name)
    for (const name of changed) {
      this.#hot.delete(name)
      this.#hot.add(name)
    }
    for (const name of this.#hot) if (this.#hot.size > HOT || !entries.has(name)) this.#hot.delete(name)
    return { changed: changed.sort(), removed, postponed, leftOut: named.slice(0, MAX_NAMED) }
  }

  async #copy(name: string, entry: FileEntry): Promise<Copied['result']> {
    const before = this.#applied.get(name)
    if (entry.size === 0 && before?.kind === 'file' && before.size > 0 && !this.#emptied.has(name)) {
      this.#emptied.add(name)
      return 'again'
    }
    this.#emptied.delete(name)
    const { source, target, staging } = this.#options
    const { result, entry: found } = await copyFile(path.join(source, name), entry, path.join(target, name), staging)
    if (found) this.#applied.set(name, found)
    return result
  }

  async #makeDirectory(name: string): Promise<void> {
    const place = path.join(this.#options.target, name)
    await mkdir(place, { recursive: true }).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw error
      // Something made in the copy stands there.
      await rm(place, { force: true })
      await mkdir(place, { recursive: true })
    })
    this.#applied.set(name, { kind: 'directory' })
  }

  async #link(name: string, target: string): Promise<void> {
    const place = path.join(this.#options.target, name)
    if ((await readlink(place).catch(() => undefined)) !== target) {
      const staged = path.join(this.#options.staging, 'link')
      await rm(staged, { force: true })
      await symlink(target, staged)
      await rm(place, { recursive: true, force: true })
      await mkdir(path.dirname(place), { recursive: true })
      await rename(staged, place)
    }
    this.#applied.set(name, { kind: 'link', target })
  }

  /** A directory in which others have made something stays. */
  async #remove(name: string): Promise<void> {
    const entry = this.#applied.get(name)
    this.#applied.delete(name)
    const place = path.join(this.#options.target, name)
    try {
      await (entry?.kind === 'directory' ? rmdir(place) : unlink(place))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EISDIR', 'EPERM'].includes(code)) throw error
    }
  }
}

/** An earlier copy may be behind in ways nobody knows: all of it goes but for what is never copied. True when nothing is left. */
async function clear(directory: string): Promise<boolean> {
  let empty = true
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const place = path.join(directory, entry.name)
    if (!isMirrored(entry.name)) empty = false
    else if (!entry.isDirectory()) await unlink(place)
    else if (await clear(place)) await rmdir(place)
    else empty = false
  }
  return empty
}

function manifestsOf({ entries }: Scan): string[] {
  const found: string[] = []
  for (const [name, { kind }] of entries)
    if (kind === 'file' && (name === 'package.json' || name.endsWith('/package.json'))) found.push(name)
  return found.slice(0, MAX_MANIFESTS)
}

async function inParallel<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
}
