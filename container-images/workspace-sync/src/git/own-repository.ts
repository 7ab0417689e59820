/** Sync's own bare repository: its configuration is ours alone, and no attribute or hook of the team's repository has a say in it. */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Layout } from './layout.ts'
import { LOCAL_MS, MAX_PACKS } from './limits.ts'
import type { Git } from './run-git.ts'
import { writeDurably } from './state.ts'

/** Written anew at each start. Sizes are for a container of 512 MB. */
const CONFIG = `[core]
	bare = true
	hooksPath = /dev/null
	fsmonitor = false
	untrackedCache = false
	fileMode = true
	symlinks = true
	ignoreCase = false
	autocrlf = false
	safecrlf = false
	quotePath = false
	logAllRefUpdates = false
	attributesFile = /dev/null
	excludesFile = /dev/null
	packedGitWindowSize = 16m
	packedGitLimit = 128m
	deltaBaseCacheLimit = 16m
	bigFileThreshold = 8m
[pack]
	threads = 1
	windowMemory = 48m
	deltaCacheSize = 16m
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch]
	recurseSubmodules = false
	writeCommitGraph = false
[push]
	recurseSubmodules = no
	followTags = false
[submodule]
	recurse = false
[diff]
	ignoreSubmodules = all
[merge]
	directoryRenames = false
	renameLimit = 2000
[protocol]
	version = 2
[http]
	followRedirects = false
	lowSpeedLimit = 1000
	lowSpeedTime = 30
[credential]
	helper =
`

/** Bytes stay as they are, whatever the repository's own .gitattributes say: this file has the last word. */
const ATTRIBUTES = '* -text -filter -ident !working-tree-encoding !eol !merge\n'

/** Makes the repository in `gitDir`, which must not exist, or brings its configuration back to ours. */
export async function configure(git: Git, sha256: boolean): Promise<void> {
  const { gitDir } = git
  for (const folder of ['objects/info', 'objects/pack', 'refs/heads', 'info'])
    await mkdir(path.join(gitDir, folder), { recursive: true })
  const format = sha256
    ? '[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha256\n'
    : '[core]\n\trepositoryFormatVersion = 0\n'
  await writeDurably(path.join(gitDir, 'config'), format + CONFIG)
  await writeDurably(path.join(gitDir, 'info/attributes'), ATTRIBUTES)
  // HEAD names a branch that never exists; refs of ours are elsewhere.
  await writeDurably(path.join(gitDir, 'HEAD'), 'ref: refs/heads/none\n')
}

/** Whether the repository in `git` keeps SHA-256 objects: git wrote so when it was made. */
export async function isSha256(git: Git): Promise<boolean> {
  return (await git.text(['rev-parse', '--show-object-format'])) === 'sha256'
}

/** Names of the files that a killed git process leaves in a repository. */
const LEFT_BEHIND = /(\.lock$|^tmp_|^\.tmp-|^fast_import_crash_|\.new$)/

/** Removes locks and half-written files. Nobody but us writes here, and no process of ours is alive. */
export async function removeLeftBehind(layout: Layout): Promise<void> {
  await rm(layout.scratch, { recursive: true, force: true })
  await rm(`${layout.index}.lock`, { force: true })
  await rm(`${layout.state}.new`, { force: true })
  const folders = [layout.repository]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    let entries: Awaited<ReturnType<typeof entriesOf>>
    try {
      entries = await entriesOf(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw error
    }
    const insideObjects = folder.includes(`${path.sep}objects`)
    for (const entry of entries) {
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) {
        // Loose objects' folders hold temporary files only, which the next repacking removes.
        if (!insideObjects || entry.name === 'pack') folders.push(file)
      } else if (LEFT_BEHIND.test(entry.name)) await rm(file, { force: true })
    }
  }
}

const entriesOf = (folder: string) => readdir(folder, { withFileTypes: true })

/** Whether everything that is reachable from a commit and from all refs can be read. Costs a walk over all of history: for when there is a doubt. */
export async function isWhole(git: Git, commit: string): Promise<boolean> {
  const { code } = await git.run(['fsck', '--connectivity-only', '--no-dangling', '--no-progress', commit], {
    codes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 128],
  })
  if (code !== 0) return false
  // Connectivity is about names; contents are checked by reading them.
  const read = await git.run(['rev-list', '--objects', '--all', commit], { codes: [0, 128] })
  if (read.code !== 0) return false
  const names = read.stdout
    .toString('latin1')
    .split('\n')
    .map((line) => line.split(' ', 1)[0])
  const checked = await git.run(['cat-file', '--batch-check=%(objecttype)', '--buffer'], {
    input: names.join('\n'),
    codes: [0, 128],
  })
  return checked.code === 0 && !checked.stdout.includes(' missing')
}

/** Moves what cannot be used to where a person may look at it; answers where. */
export async function setAside(layout: Layout, what: string, now: Date): Promise<string> {
  const folder = path.join(layout.setAside, now.toISOString().replaceAll(/[-:.]/g, ''))
  await mkdir(folder, { recursive: true })
  const target = path.join(folder, path.basename(what))
  await rename(what, target)
  return target
}

/** Packs what has come together, so that neither files nor packs grow without bound. Drops nothing, reachable or not. */
export async function repackIfNeeded(git: Git): Promise<void> {
  const counts = await git.text(['count-objects', '-v'])
  const value = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(counts)?.[1] ?? 0)
  if (value('packs') > MAX_PACKS)
    await git.run(['repack', '-a', '-d', '-q', '-l', '--keep-unreachable'], { timeoutMs: LOCAL_MS })
  else if (value('count') > 2000) await git.run(['repack', '-d', '-q', '-l'], { timeoutMs: LOCAL_MS })
}

/** What an NFS client makes of a file that is removed while it is open. */
const NFS_LEFTOVERS = '.nfs[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*\n'

/** Patterns that agents keep in their own repository: what they do not want to commit, we do not commit either. */
export async function writeExcludes(git: Git, patterns: Buffer): Promise<void> {
  await writeFile(path.join(git.gitDir, 'info/exclude'), Buffer.concat([Buffer.from(NFS_LEFTOVERS), patterns]))
}
