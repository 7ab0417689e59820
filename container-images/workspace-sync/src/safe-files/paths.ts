/**
 * Paths inside a tree as bytes: a Linux file name is any bytes without `/` and NUL, and git keeps them as they are. Texts are
 * taken as UTF-8.
 */
import { SafeFileError } from './safe-file-error.ts'

export type TreePath = string | Buffer

/** Bytes of a name and of a path: Linux's NAME_MAX and PATH_MAX. */
const MAX_NAME_BYTES = 255
const MAX_PATH_BYTES = 4096
const SLASH = 0x2f

function checkName(name: Buffer): Buffer {
  const text = name.toString('latin1')
  if (text === '') throw new SafeFileError('invalid-path', 'The path has an empty part')
  if (text === '.' || text === '..') throw new SafeFileError('invalid-path', 'The path may not contain . or ..')
  if (name.length > MAX_NAME_BYTES) throw new SafeFileError('invalid-path', 'A part of the path is too long')
  return name
}

/** The names of a path relative to a tree. Throws `invalid-path` for what is empty, absolute, too long, or has `.`, `..` or NUL in it. */
export function splitPath(path: TreePath): readonly Buffer[] {
  if (typeof path === 'string' && !path.isWellFormed())
    throw new SafeFileError('invalid-path', 'The path is not well-formed text')
  const bytes = typeof path === 'string' ? Buffer.from(path) : path
  if (bytes.length === 0) throw new SafeFileError('invalid-path', 'The path is empty')
  if (bytes.length > MAX_PATH_BYTES) throw new SafeFileError('invalid-path', 'The path is too long')
  if (bytes[0] === SLASH) throw new SafeFileError('invalid-path', 'The path must be relative to the workspace')
  if (bytes.includes(0)) throw new SafeFileError('invalid-path', 'The path contains a NUL byte')
  const names: Buffer[] = []
  for (let from = 0; from <= bytes.length; ) {
    const slash = bytes.indexOf(SLASH, from)
    const to = slash === -1 ? bytes.length : slash
    names.push(checkName(bytes.subarray(from, to)))
    from = to + 1
  }
  return names
}

/** Code points that HFS+ ignores in names (git's utf8.c). */
const IGNORED_BY_HFS = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g

/**
 * Whether some file system takes this name for `.git`: then it must not enter a commit, nor come out of one. Wider than git's own
 * check, so that git never has to refuse.
 */
export function isDotGit(name: Buffer): boolean {
  const text = name.toString('utf8').replace(IGNORED_BY_HFS, '').toLowerCase()
  const short = text.split(/[:\\]/, 1)[0]?.replace(/[ .]+$/, '')
  return short === '.git' || short === 'git~1'
}
