/**
 * Working trees of branches that have previews, in `shared/previews/<encodeURIComponent(branch)>`. They follow the remote's branches and are
 * nobody's to write but ours: what agents change or plant there goes. A tree under its name is complete; a file there says why there is none.
 */
import { lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { TEAM_FILES } from '../../../../shared/contracts/link.ts'
import { removeTree } from '../safe-files/remove.ts'
import { SafeDirectory } from '../safe-files/safe-directory.ts'
import { isErrno } from '../safe-files/safe-file-error.ts'
import { isBranchName } from './branches.ts'
import { type Engine, remoteTips } from './engine.ts'
import type { Layout } from './layout.ts'
import { ROUNDS_BETWEEN_PREVIEW_CHECKS } from './limits.ts'
import { treeOf } from './objects.ts'
import { buildPreviewTree, type PreviewTree, refreshPreviewTree } from './preview-tree.ts'
import { fetchRemote } from './remote.ts'
import { ofBranch } from './state.ts'

const PREVIEWS = Buffer.from(path.basename(TEAM_FILES.previews))
/** No branch is called so. */
const REMOVING = '.removing'

/** One folder per branch, whatever is in its name. */
const folderOf = (branch: string): string => encodeURIComponent(branch)

/** Ours to keep: how a tree was left is in its git index beside it, so that a restart goes on from there. */
const indexesOf = (layout: Layout): string => path.join(layout.sync, 'previews')

export class PreviewTrees {
  /** Undefined until it is told: then nothing that stands there is removed. */
  #wanted: ReadonlySet<string> | undefined
  /** By branch: the git tree that its working tree was brought to, that directory's inode, and the rounds since it was looked at. */
  readonly #done = new Map<string, { readonly tree: string; readonly ino: bigint | undefined; rounds: number }>()
  /** Goes on until it is through or `cut`; the next one waits for it. */
  #running: Promise<void> = Promise.resolve()

  setBranches(branches: readonly string[]): void {
    this.#wanted = new Set(branches.filter((one) => isBranchName(one) && one.isWellFormed()))
  }

  /**
   * Brings all trees to what was fetched last; `fetched`: whether this round has asked the remote. Never rejects: what goes wrong is logged
   * and told in the next report. Resolves early when `cut` is aborted, the last commit being more urgent.
   */
  async update(engine: Engine, fetched: boolean, cut: AbortSignal): Promise<void> {
    const wanted = this.#wanted
    if (!wanted || cut.aborted) return
    const stop = Promise.withResolvers<void>()
    const stopped = () => stop.resolve()
    cut.addEventListener('abort', stopped, { once: true })
    this.#running = this.#running
      .then(() => this.#update(engine, wanted, fetched, cut))
      .catch((error: Error) =>
        engine.options.log('ERROR', 'Trees of previews were left as they are', { reason: error.message }),
      )
    try {
      await Promise.race([this.#running, stop.promise])
    } finally {
      cut.removeEventListener('abort', stopped)
    }
  }

  async #update(engine: Engine, wanted: ReadonlySet<string>, fetched: boolean, cut: AbortSignal): Promise<void> {
    const attempt = async (what: string, work: () => Promise<void>) => {
      if (cut.aborted) return
      try {
        await work()
      } catch (error) {
        if (cut.aborted || engine.git.ended) return
        const reason = (error as Error).message
        engine.options.log('ERROR', what, { reason })
        engine.told.details.add(`${what}: ${reason.slice(0, 200)}`)
      }
    }
    let previews: SafeDirectory | undefined
    await attempt('The trees of previews could not be opened', async () => {
      previews = await openPreviews(engine, wanted.size > 0)
    })
    const folder = previews
    if (!folder) return
    try {
      await attempt('Trees of previews could not be removed', () => this.#removeUnwanted(engine, folder, wanted))
      const { repository } = engine.options
      if (repository && !fetched && wanted.size > 0)
        await attempt('Branches for previews could not be fetched', () => fetchRemote(engine.git, repository))
      for (const branch of wanted)
        await attempt(`The preview of ${branch} could not be brought up to date`, () =>
          this.#follow(engine, folder, branch, cut),
        )
    } finally {
      await folder.close()
    }
  }

  async #follow(engine: Engine, previews: SafeDirectory, branch: string, cut: AbortSignal): Promise<void> {
    const { git, layout } = engine
    const name = Buffer.from(folderOf(branch))
    const index = path.join(indexesOf(layout), `${folderOf(branch)}.index`)
    const tip = await tipOf(engine, branch)
    if (tip === undefined) {
      engine.told.details.add(`There is no branch ${branch} to be previewed`)
      this.#done.delete(branch)
      await rm(index, { force: true })
      await putReason(engine, previews, name, whyNoTree(branch, engine.options.repository !== undefined))
      return
    }
    const to = await treeOf(git, tip)
    const stats = await previews.stat(name)
    const exists = stats?.isDirectory() ?? false
    const done = this.#done.get(branch)
    if (exists && done?.tree === to && done.ino === stats?.ino && ++done.rounds < ROUNDS_BETWEEN_PREVIEW_CHECKS) return
    this.#done.delete(branch)
    const work = path.join(layout.scratch, `preview-${folderOf(branch)}`)
    const tree: PreviewTree = {
      git,
      previews,
      name,
      place: path.join(layout.root, TEAM_FILES.previews, folderOf(branch)),
      index,
      work,
      to,
      cut,
    }
    try {
      await mkdir(indexesOf(layout), { recursive: true })
      await rm(`${index}.lock`, { force: true })
      await rm(work, { recursive: true, force: true })
      await mkdir(work, { recursive: true })
      if (exists) await refreshPreviewTree(tree)
      else await buildPreviewTree(tree)
    } catch (error) {
      // It may be what is wrong: without it, every file is compared.
      await rm(index, { force: true })
      throw error
    } finally {
      await rm(work, { recursive: true, force: true })
    }
    this.#done.set(branch, { tree: to, ino: (await previews.stat(name))?.ino, rounds: 0 })
    engine.options.log('INFO', 'The tree of a preview is up to date', { branch, commit: tip })
  }

  async #removeUnwanted(engine: Engine, previews: SafeDirectory, wanted: ReadonlySet<string>): Promise<void> {
    for (const branch of this.#done.keys()) if (!wanted.has(branch)) this.#done.delete(branch)
    const kept = new Set([...wanted].map(folderOf))
    for (const name of await readdir(previews.self(), { encoding: 'buffer' })) {
      const text = name.toString('latin1')
      if (kept.has(text)) continue
      // What stands under a branch's name is complete.
      const gone = text.startsWith(REMOVING) ? name : Buffer.from(`${REMOVING}-${engine.now().getTime()}`)
      if (gone !== name) {
        await removeTree(previews, gone)
        await rename(previews.at(name), previews.at(gone))
      }
      await removeTree(previews, gone)
    }
    const indexes = indexesOf(engine.layout)
    await mkdir(indexes, { recursive: true })
    for (const file of await readdir(indexes))
      if (!kept.has(file.replace(/\.index(\.lock)?$/, ''))) await rm(path.join(indexes, file), { force: true })
  }
}

const whyNoTree = (branch: string, hasRepository: boolean): string =>
  hasRepository
    ? `The repository has no branch ${branch}. Push one, and its preview starts by itself`
    : `The team has no repository, and so no branch ${branch} to be previewed`

/** A file in the tree's place, for the preview that waits for it. One is replaced by the next at once, so that it is never missed. */
async function putReason(engine: Engine, previews: SafeDirectory, name: Buffer, text: string): Promise<void> {
  const aside = path.join(engine.layout.scratch, `reason-${name.toString()}`)
  await rm(aside, { force: true })
  await writeFile(aside, `${text}\n`, { mode: 0o644, flag: 'wx' })
  if ((await previews.stat(name))?.isDirectory()) await removeTree(previews, name)
  await rename(aside, previews.at(name))
}

/** The commit that the branch's preview shows. The remote's comes first: previews show what was pushed. */
async function tipOf(engine: Engine, branch: string): Promise<string | undefined> {
  const { options, state } = engine
  const tip = options.repository ? (await remoteTips(engine)).get(ofBranch(state.renamed, branch) ?? branch) : undefined
  return tip ?? (state.branch === branch && !state.detached ? state.line : undefined)
}

/** What stands in the folder's place gets another name beside it. Undefined when there is none and none is to be made. */
async function openPreviews({ layout, now }: Engine, make: boolean): Promise<SafeDirectory | undefined> {
  const place = path.join(layout.root, TEAM_FILES.previews)
  if (!make && (await lstat(place).catch(() => undefined)) === undefined) return undefined
  const shared = await SafeDirectory.open(layout.shared)
  try {
    const before = await shared.stat(PREVIEWS)
    if (before && !before.isDirectory()) {
      const aside = `${PREVIEWS.toString()}-before-${now().toISOString().replaceAll(/[-:.]/g, '')}`
      await rename(shared.at(PREVIEWS), shared.at(Buffer.from(aside)))
    }
    await mkdir(shared.at(PREVIEWS), 0o755).catch((error: unknown) => {
      if (!isErrno(error, 'EEXIST')) throw error
    })
    return await shared.child(PREVIEWS)
  } finally {
    await shared.close()
  }
}
