import { isUtf8 } from 'node:buffer'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import type * as z from 'zod'
import type {
  FilesRefusalSchema,
  FilesRequest,
  ListFilesAnswerSchema,
  ReadFileAnswerSchema,
  WriteFileAnswerSchema,
} from '../../../../shared/contracts/files.ts'
import { MAX_FILE_BYTES, MAX_LISTED_FILES } from '../../../../shared/contracts/limits.ts'
import { TEAM_FILES } from '../../../../shared/contracts/link.ts'
import { listTree } from '../safe-files/list.ts'
import { isDotGit, splitPath } from '../safe-files/paths.ts'
import { readFile } from '../safe-files/read.ts'
import { openDirectory, SafeDirectory } from '../safe-files/safe-directory.ts'
import { isErrno, SafeFileError } from '../safe-files/safe-file-error.ts'
import { writeFileAtomic } from '../safe-files/write.ts'

/** Why a request was not done; `message` is for the member who asked. */
export class FilesRefused extends Error {
  override readonly name = 'FilesRefused'
  readonly code: z.infer<typeof FilesRefusalSchema>

  constructor(code: FilesRefused['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export type FilesResult =
  | z.infer<typeof ListFilesAnswerSchema>
  | z.infer<typeof ReadFileAnswerSchema>
  | z.infer<typeof WriteFileAnswerSchema>

export type TeamFilesOptions = {
  /** The team's root, `TEAM_FILES` below it. */
  readonly root: string
  /** The branch that the shared working tree is on. */
  readonly branch: () => string | undefined
  /** Something was written: it is to be committed soon. */
  readonly written: () => void
}

/** Names that stand for the shared working tree, whatever branch it is on: the frontend's and ours. */
const SHARED_TREE = ['main', 'workspace']

/** Names in the team's shared directory. */
const IN_SHARED = {
  workspace: path.basename(TEAM_FILES.workspace),
  previews: path.basename(TEAM_FILES.previews),
} as const

/** Bytes that the entries of a listing may take as JSON in JSON: a listing of long names stays below what Lambda answers. */
const MAX_LISTING_BYTES = 4 * 1024 * 1024

/** Braces, commas, names and quotes of an entry, twice encoded. */
const ENTRY_OVERHEAD = 80

/** The files API's operations on a team's working trees. Each resolves with its answer or rejects with `FilesRefused`. */
export class TeamFiles {
  readonly #options: TeamFilesOptions
  /** Beside sync's own files, on the same file system: agents see nothing half-written. */
  readonly #staging: string

  constructor(options: TeamFilesOptions) {
    this.#options = options
    this.#staging = path.join(options.root, TEAM_FILES.sync, 'incoming')
  }

  /** Removes what writes left that were cut off. To be called before the first request. */
  async clear(): Promise<void> {
    await rm(this.#staging, { recursive: true, force: true })
  }

  async handle(request: FilesRequest): Promise<FilesResult> {
    try {
      const tree = await this.#open(request.branch)
      try {
        if (request.op === 'list') return await list(tree)
        if (request.op === 'read') return await read(tree, request.path)
        return await this.#write(tree, request.path, request.content)
      } finally {
        await tree.close()
      }
    } catch (error) {
      if (!(error instanceof SafeFileError)) throw error
      throw new FilesRefused(error.code === 'exists' ? 'failed' : error.code, error.message, { cause: error })
    }
  }

  /** The working tree of a branch. Agents can put anything in its place: it is opened as carefully as what is in it. */
  async #open(branch: string): Promise<SafeDirectory> {
    if (!branch.isWellFormed()) throw noTree(branch)
    const shared = SHARED_TREE.includes(branch) || branch === this.#options.branch()
    const below = shared ? IN_SHARED.workspace : `${IN_SHARED.previews}/${encodeURIComponent(branch)}`
    const top = await SafeDirectory.open(path.join(this.#options.root, TEAM_FILES.shared)).catch((error: unknown) => {
      throw isErrno(error, 'ENOENT') ? notReady(error) : error
    })
    try {
      return await openDirectory(top, below)
    } catch (error) {
      if (!(error instanceof SafeFileError && error.code === 'not-found')) throw error
      throw shared ? notReady(error) : noTree(branch)
    } finally {
      await top.close()
    }
  }

  async #write(tree: SafeDirectory, target: string, text: string): Promise<FilesResult> {
    checkPath(target)
    if (!text.isWellFormed()) throw new FilesRefused('failed', 'The content is not well-formed text')
    const content = Buffer.from(text)
    if (content.length > MAX_FILE_BYTES) throw tooLarge(content.length)
    await writeFileAtomic(tree, target, content, { staging: this.#staging })
    this.#options.written()
    return { message: 'File saved', path: target, size: content.length }
  }
}

const tooLarge = (bytes: number) =>
  new FilesRefused('too-large', `The file has ${bytes} bytes; the editor takes up to ${MAX_FILE_BYTES}`)

const notReady = (cause: unknown) => new FilesRefused('not-ready', 'The workspace is being prepared', { cause })

const noTree = (branch: string) =>
  new FilesRefused('not-found', `There is no working tree of the branch ${branch}: it is not previewed`)

/** Repositories' own files are no business of an editor, and writing them would give orders to git. Throws `FilesRefused`, `SafeFileError`. */
function checkPath(text: string): void {
  if (splitPath(text).some(isDotGit)) throw new FilesRefused('invalid-path', "The files of .git are git's own")
}

/** All but repositories' own files; of `node_modules` the name alone, because what is in it would leave no room for the team's own. */
async function list(tree: SafeDirectory): Promise<FilesResult> {
  let bytes = 0
  let full = false
  const { entries, truncated } = await listTree(tree, {
    maxEntries: MAX_LISTED_FILES,
    select: (entry) => {
      if (isDotGit(Buffer.from(entry.name))) return 'hide'
      bytes += Buffer.byteLength(JSON.stringify(JSON.stringify([entry.name, entry.path]))) + ENTRY_OVERHEAD
      full ||= bytes > MAX_LISTING_BYTES
      if (full) return 'hide'
      return entry.name === 'node_modules' ? 'closed' : 'open'
    },
  })
  return { files: entries, truncated: truncated || full }
}

async function read(tree: SafeDirectory, target: string): Promise<FilesResult> {
  checkPath(target)
  const content = await readFile(tree, target, MAX_FILE_BYTES)
  const isBinary = content.includes(0) || !isUtf8(content)
  return { path: target, content: isBinary ? '' : content.toString('utf8'), isBinary, size: content.length }
}
