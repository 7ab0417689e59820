/** Reading and writing trees, blobs and commits of sync's own repository. Paths are byte strings (latin1), as git keeps them. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { Git } from './run-git.ts'
import type { Author } from './types.ts'

/** A path as git has it, each byte a character: compares, sorts and works as a key, whatever its encoding. */
export type BytePath = string
export const toBytes = (path: BytePath): Buffer => Buffer.from(path, 'latin1')

/** For people: UTF-8 where it is, without control characters. */
export function shownPath(path: BytePath): string {
  return toBytes(path)
    .toString('utf8')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '?')
    .slice(0, 500)
}

export type Entry = { readonly mode: string; readonly oid: string }
export const GITLINK = '160000'
export const SYMLINK = '120000'

export type Change = { readonly path: BytePath; readonly from: Entry | undefined; readonly to: Entry | undefined }

export const splitNul = (output: Buffer): string[] => output.toString('latin1').split('\0').slice(0, -1)

/** What differs between two trees (or commits), without looking for renames. */
export async function diffTrees(git: Git, from: string, to: string): Promise<Change[]> {
  if (from === to) return []
  const { stdout } = await git.run(['diff-tree', '-r', '-z', '--raw', '--no-abbrev', '--no-renames', from, to])
  const fields = splitNul(stdout)
  const changes: Change[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [fromMode = '', toMode = '', fromOid = '', toOid = ''] = (fields[i] ?? '').slice(1).split(' ')
    const entry = (mode: string, oid: string) => (mode === '000000' ? undefined : { mode, oid })
    changes.push({ path: fields[i + 1] ?? '', from: entry(fromMode, fromOid), to: entry(toMode, toOid) })
  }
  return changes
}

/** Every entry of a tree. */
export async function listEntries(git: Git, tree: string): Promise<Map<BytePath, Entry>> {
  const { stdout } = await git.run(['ls-tree', '-r', '-z', '--full-tree', tree])
  const entries = new Map<BytePath, Entry>()
  for (const line of splitNul(stdout)) {
    const tab = line.indexOf('\t')
    const [mode = '', , oid = ''] = line.slice(0, tab).split(' ')
    entries.set(line.slice(tab + 1), { mode, oid })
  }
  return entries
}

/** Lines for `update-index -z --index-info`. */
export function indexInfo(entries: Iterable<readonly [BytePath, Entry | undefined]>, zero: string): Buffer {
  const parts: Buffer[] = []
  for (const [path, entry] of entries)
    parts.push(Buffer.from(entry ? `${entry.mode} ${entry.oid}\t` : `0 ${zero}\t`), toBytes(path), Buffer.from([0]))
  return Buffer.concat(parts)
}

/** Stores contents as blobs, in one process. `add` gives a content and gets its name when all have been added. */
export async function writeBlobs(
  git: Git,
  produce: (add: (content: Buffer) => Promise<number>) => Promise<void>,
): Promise<string[]> {
  let count = 0
  const { stdout } = await git.run(['fast-import', '--quiet', '--done'], {
    input: async (stdin) => {
      await produce(async (content) => {
        count++
        await send(stdin, Buffer.from(`blob\nmark :${count}\ndata ${content.length}\n`))
        await send(stdin, content)
        await send(stdin, Buffer.from(`\nget-mark :${count}\n`))
        return count - 1
      })
      await send(stdin, Buffer.from('done\n'))
    },
  })
  const names = stdout.toString('latin1').trim()
  return names === '' ? [] : names.split('\n')
}

async function send(stdin: Writable, data: Buffer): Promise<void> {
  // A process that has ended says by its exit code why.
  if (stdin.destroyed || data.length === 0 || stdin.write(data)) return
  // A process that has died gives an error instead; then there is nobody to write to.
  await Promise.race([once(stdin, 'drain'), once(stdin, 'close')])
}

export type CommitText = {
  readonly subject: string
  readonly body?: readonly string[]
  readonly authors?: readonly Author[]
}

const IDENTITY = { name: 'Covibes workspace sync', email: 'workspace-sync@covibes.invalid' }

/** On one line and without what has a meaning in a commit's header. */
const plain = (text: string) => text.replaceAll(/[\p{Cc}\s<>]+/gu, ' ').trim()

export function commitMessage({ subject, body = [], authors = [] }: CommitText): string {
  const named = new Map(authors.map(({ name, email }) => [plain(email).replaceAll(' ', ''), plain(name)]))
  const trailers = [...named]
    .filter(([email, name]) => email !== '' && name !== '')
    .map(([email, name]) => `Co-authored-by: ${name} <${email}>`)
  return [[subject], body, trailers]
    .filter((part) => part.length > 0)
    .map((part) => part.join('\n'))
    .join('\n\n')
    .concat('\n')
}

/** A commit by workspace sync. */
export function writeCommit(
  git: Git,
  tree: string,
  parents: readonly string[],
  text: CommitText,
  now: Date,
): Promise<string> {
  const date = `${Math.floor(now.getTime() / 1000)} +0000`
  return git.text(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-F', '-'], {
    input: commitMessage(text),
    env: {
      GIT_AUTHOR_NAME: IDENTITY.name,
      GIT_AUTHOR_EMAIL: IDENTITY.email,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_NAME: IDENTITY.name,
      GIT_COMMITTER_EMAIL: IDENTITY.email,
      GIT_COMMITTER_DATE: date,
    },
  })
}

/** A commit with nothing in it and nothing before it. */
export async function emptyCommit(git: Git, subject: string, now: Date): Promise<string> {
  return writeCommit(git, await git.text(['mktree'], { input: '' }), [], { subject }, now)
}

/** What never changes about commits, by full name; the newest of it. */
const remembered = new WeakMap<Git, Map<string, Promise<unknown>>>()

/** Asks git once for what belongs to a commit for ever. */
export function remember<T>(git: Git, key: string, ask: () => Promise<T>): Promise<T> {
  const known = remembered.get(git) ?? new Map<string, Promise<unknown>>()
  remembered.set(git, known)
  const before = known.get(key)
  if (before) return before as Promise<T>
  if (known.size > 50) known.clear()
  const answer = ask()
  known.set(key, answer)
  // A failure says nothing for ever.
  answer.catch(() => known.delete(key))
  return answer
}

export const treeOf = (git: Git, commit: string): Promise<string> =>
  remember(git, `tree ${commit}`, () => git.text(['rev-parse', '--verify', `${commit}^{tree}`]))

/** Commits that only the one, and only the other has. */
export async function countApart(git: Git, left: string, right: string): Promise<{ left: number; right: number }> {
  if (left === right) return { left: 0, right: 0 }
  const [a, b] = (await git.text(['rev-list', '--left-right', '--count', `${left}...${right}`])).split('\t')
  return { left: Number(a), right: Number(b) }
}

export async function isAncestor(git: Git, ancestor: string, of: string): Promise<boolean> {
  if (ancestor === of) return true
  return (await git.run(['merge-base', '--is-ancestor', ancestor, of], { codes: [0, 1] })).code === 0
}

/** Whether some branch of the remote has the commit. */
export async function isAtRemote(git: Git, commit: string): Promise<boolean> {
  return (await git.text(['rev-list', '--max-count=1', commit, '--not', '--remotes=origin'])) === ''
}

/** Whether a branch of the remote has it that is no rescue branch. */
export async function isOnBranch(git: Git, commit: string): Promise<boolean> {
  const branches = ['--exclude=refs/remotes/origin/covibes/rescue/*', '--glob=refs/remotes/origin/*']
  return (await git.text(['rev-list', '--max-count=1', commit, '--not', ...branches])) === ''
}

/** Names and commits of refs below `prefix`, which is taken off. */
export async function listRefs(git: Git, prefix: string): Promise<Map<string, string>> {
  const output = await git.text(['for-each-ref', '--format=%(objectname) %(refname)', prefix])
  const refs = new Map<string, string>()
  for (const line of output === '' ? [] : output.split('\n')) {
    const space = line.indexOf(' ')
    refs.set(line.slice(space + 1 + prefix.length), line.slice(0, space))
  }
  return refs
}

export async function hasObject(git: Git, commit: string): Promise<boolean> {
  return (await git.run(['cat-file', '-e', `${commit}^{tree}`], { codes: [0, 1, 128] })).code === 0
}
