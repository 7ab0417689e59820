/** Trees of branches that have previews, in a team whose agents may write to them. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ROUNDS_BETWEEN_PREVIEW_CHECKS } from '../../../../container-images/workspace-sync/src/git/limits.ts'
import type { WorkspaceSync } from '../../../../container-images/workspace-sync/src/git/types.ts'
import { git, Team, write } from './support.ts'

let team: Team
let previews: string
let staging: string
/** The sync that was begun last. */
let current: WorkspaceSync
beforeEach(() => {
  team = new Team()
  previews = path.join(team.root, 'shared/previews')
  staging = path.join(previews, 'staging')
})
afterEach(() => team.end())

/** Everything below a folder: contents of files, targets of links. */
function all(folder: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory())
      Object.assign(found, { [`${prefix}${entry.name}/`]: '' }, all(file, `${prefix}${entry.name}/`))
    else found[prefix + entry.name] = entry.isSymbolicLink() ? `-> ${readlinkSync(file)}` : readFileSync(file, 'utf8')
  }
  return found
}

const FILES = { 'a.txt': 'a\n', 'folder/deep/b.txt': 'b\n', 'run.sh': '#!/bin/sh\n' }
const SHOWN = { 'README.md': 'readme\n', 'folder/': '', 'folder/deep/': '', link: '-> a.txt', ...FILES }

/** A remote with a branch `staging` beside `main`, and a sync that keeps its tree. */
async function started(): Promise<WorkspaceSync> {
  team.withRemote()
  git(team.human, 'switch', '--quiet', '-c', 'staging')
  write(team.human, FILES)
  chmodSync(path.join(team.human, 'run.sh'), 0o755)
  symlinkSync('a.txt', path.join(team.human, 'link'))
  team.commit('staging')
  return begun()
}

async function begun(): Promise<WorkspaceSync> {
  current = await team.start()
  current.setPreviewBranches(['staging'])
  await current.round()
  return current
}

const ended = () => current.finish(new Date(Date.now() + 30_000))

/** The next sync of the same team. */
async function restarted(): Promise<WorkspaceSync> {
  await ended()
  return begun()
}

describe('the tree of a previewed branch', () => {
  it('is made complete, with modes and links, and nothing else changes', async () => {
    await started()
    expect(all(staging)).toEqual(SHOWN)
    expect(statSync(path.join(staging, 'run.sh')).mode & 0o111).toBe(0o111)
    expect(readdirSync(previews)).toEqual(['staging'])
    expect(team.report).toMatchObject({ state: 'synced', branch: 'main' })
    expect(team.report.detail).toBeUndefined()
    expect(team.files()).toEqual(['README.md'])
    expect(team.agent('status', '--porcelain')).toBe('')
  })

  it('follows pushes: new, changed and deleted files, and files that become folders', async () => {
    const sync = await started()
    const untouched = lstatSync(path.join(staging, 'run.sh')).ino
    rmSync(path.join(team.human, 'folder'), { recursive: true })
    rmSync(path.join(team.human, 'a.txt'))
    write(team.human, {
      folder: 'a file now',
      'a.txt/inner.txt': 'inner',
      'README.md': 'new readme',
      'more/c.txt': 'c',
    })
    team.commit('changes')
    await sync.round()
    expect(all(staging)).toEqual({
      'README.md': 'new readme',
      'a.txt/': '',
      'a.txt/inner.txt': 'inner',
      folder: 'a file now',
      link: '-> a.txt',
      'more/': '',
      'more/c.txt': 'c',
      'run.sh': '#!/bin/sh\n',
    })
    expect(lstatSync(path.join(staging, 'run.sh')).ino).toBe(untouched)
  })

  it('follows a forced push', async () => {
    const sync = await started()
    git(team.human, 'reset', '--quiet', '--hard', 'HEAD~1')
    write(team.human, { 'other.txt': 'other' })
    git(team.human, 'add', '--all')
    git(team.human, 'commit', '--quiet', '-m', 'instead')
    git(team.human, 'push', '--quiet', '--force', 'origin', 'HEAD')
    await sync.round()
    expect(all(staging)).toEqual({ 'README.md': 'readme\n', 'other.txt': 'other' })
  })

  it('shows a branch that the workspace is on as it is at the remote after the round', async () => {
    team.withRemote()
    const sync = await team.start()
    sync.setPreviewBranches(['main'])
    write(team.workspace, { 'agents.txt': 'by an agent' })
    await sync.round()
    expect(all(path.join(previews, 'main'))).toEqual({ 'README.md': 'readme\n', 'agents.txt': 'by an agent' })
  })

  it('shows submodules as empty folders, and keeps them empty', async () => {
    const sync = await started()
    const commit = git(team.human, 'rev-parse', 'HEAD')
    git(team.human, 'update-index', '--add', '--cacheinfo', `160000,${commit},vendor/module`)
    git(team.human, 'commit', '--quiet', '-m', 'submodule')
    git(team.human, 'push', '--quiet', 'origin', 'HEAD')
    await sync.round()
    const shown = { ...SHOWN, 'vendor/': '', 'vendor/module/': '' }
    expect(all(staging)).toEqual(shown)
    write(staging, { 'vendor/module/planted': 'x' })
    const again = await restarted()
    expect(all(staging)).toEqual(shown)
    rmSync(staging, { recursive: true })
    await again.round()
    expect(all(staging)).toEqual(shown)
  })
})

describe('what agents do to the tree', () => {
  let outside: string
  let sync: WorkspaceSync
  beforeEach(async () => {
    sync = await started()
    outside = path.join(team.base, 'outside')
    write(outside, { 'deep/b.txt': 'outside', 'a.txt': 'outside' })
  })
  const untouched = () => expect(all(outside)).toEqual({ 'a.txt': 'outside', 'deep/': '', 'deep/b.txt': 'outside' })

  it('is undone when the branch moves, and no link is followed', async () => {
    rmSync(path.join(staging, 'folder'), { recursive: true })
    symlinkSync(outside, path.join(staging, 'folder'))
    rmSync(path.join(staging, 'a.txt'))
    mkdirSync(path.join(staging, 'a.txt'))
    write(staging, { 'a.txt/planted': 'x', 'planted/x': 'x', '.git/config': '[core]\n\tworktree = /\n' })
    symlinkSync(outside, path.join(staging, 'planted-link'))
    rmSync(path.join(staging, 'run.sh'))
    execFileSync('mkfifo', [path.join(staging, 'run.sh')])
    writeFileSync(path.join(staging, 'README.md'), 'readmE\n')
    write(team.human, { 'folder/deep/b.txt': 'b2\n' })
    team.commit('more')
    await sync.round()
    expect(all(staging)).toEqual({ ...SHOWN, 'folder/deep/b.txt': 'b2\n' })
    untouched()
  })

  it('is undone after some rounds when the branch stays', async () => {
    writeFileSync(path.join(staging, 'a.txt'), 'A\n')
    write(staging, { planted: 'x' })
    for (let round = 0; round < ROUNDS_BETWEEN_PREVIEW_CHECKS; round++) await sync.round()
    expect(all(staging)).toEqual(SHOWN)
  })

  it('is undone at once when the tree itself is replaced or gone', async () => {
    renameSync(staging, path.join(previews, 'elsewhere'))
    symlinkSync(outside, staging)
    await sync.round()
    expect(all(previews)).toMatchObject({ 'staging/': '', 'staging/a.txt': 'a\n' })
    expect(readdirSync(previews)).toEqual(['staging'])
    rmSync(staging, { recursive: true })
    mkdirSync(staging)
    await sync.round()
    expect(all(staging)).toEqual(SHOWN)
    untouched()
  })

  it('leads nowhere when the folder of all trees becomes a link', async () => {
    renameSync(previews, `${previews}-mine`)
    symlinkSync(outside, previews)
    await sync.round()
    expect(lstatSync(previews).isDirectory()).toBe(true)
    expect(all(staging)).toEqual(SHOWN)
    untouched()
    sync.setPreviewBranches([])
    await sync.round()
    expect(readdirSync(previews)).toEqual([])
    untouched()
  })
})

describe('the set of previewed branches', () => {
  it('removes trees that are no longer wanted, and what else stands there, and makes them again', async () => {
    const sync = await started()
    write(previews, { 'planted/x': 'x', 'a file': 'x' })
    sync.setPreviewBranches(['main'])
    await sync.round()
    expect(readdirSync(previews)).toEqual(['main'])
    sync.setPreviewBranches(['main', 'staging'])
    await sync.round()
    expect(readdirSync(previews).sort()).toEqual(['main', 'staging'])
    expect(all(staging)).toEqual(SHOWN)
    sync.setPreviewBranches([])
    await sync.round()
    expect(readdirSync(previews)).toEqual([])
  })

  it('touches nothing before it is told, and survives restarts', async () => {
    await started()
    const inode = lstatSync(path.join(staging, 'a.txt')).ino
    write(staging, { 'planted.txt': 'x' })
    write(team.human, { 'a2.txt': 'a2' })
    team.commit('meanwhile')
    await ended()
    const sync = await team.start()
    await sync.round()
    expect(existsSync(path.join(staging, 'planted.txt'))).toBe(true)
    sync.setPreviewBranches(['staging'])
    await sync.round()
    expect(all(staging)).toEqual({ ...SHOWN, 'a2.txt': 'a2' })
    expect(lstatSync(path.join(staging, 'a.txt')).ino).toBe(inode)
  })

  it('goes on without its index, and with a broken one in the round after', async () => {
    await started()
    const index = path.join(team.sync, 'previews/staging.index')
    writeFileSync(path.join(staging, 'a.txt'), 'A\n')
    rmSync(index)
    await restarted()
    expect(all(staging)).toEqual(SHOWN)
    writeFileSync(index, 'no index')
    writeFileSync(path.join(staging, 'a.txt'), 'A\n')
    const sync = await restarted()
    expect(team.report).toMatchObject({ state: 'synced', detail: expect.stringContaining('preview of staging') })
    await sync.round()
    expect(all(staging)).toEqual(SHOWN)
    expect(team.report.detail).toBeUndefined()
  })

  it('says that there is no such branch, and shows it once there is', async () => {
    team.withRemote()
    const sync = await begun()
    const why = 'The repository has no branch staging. Push one, and its preview starts by itself\n'
    expect(readFileSync(staging, 'utf8')).toBe(why)
    expect(team.report).toMatchObject({ state: 'synced', detail: 'There is no branch staging to be previewed' })
    git(team.human, 'push', '--quiet', 'origin', 'HEAD:staging')
    await sync.round()
    expect(all(staging)).toEqual({ 'README.md': 'readme\n' })
    git(team.human, 'push', '--quiet', 'origin', ':staging')
    await sync.round()
    expect(readFileSync(staging, 'utf8')).toBe(why)
    // Whatever an agent puts in its place.
    rmSync(staging)
    symlinkSync('/etc/passwd', staging)
    await sync.round()
    expect([lstatSync(staging).isFile(), readFileSync(staging, 'utf8')]).toEqual([true, why])
    sync.setPreviewBranches([])
    await sync.round()
    expect(readdirSync(previews)).toEqual([])
  })

  it('shows the workspace’s own branch when there is no remote', async () => {
    const sync = await team.start()
    sync.setPreviewBranches(['main', 'staging'])
    write(team.workspace, { 'notes.txt': 'one' })
    await sync.round()
    expect(all(path.join(previews, 'main'))).toEqual({ 'notes.txt': 'one' })
    expect(team.report.detail).toBe('There is no branch staging to be previewed')
  })

  it('names a folder by the branch’s name, encoded', async () => {
    team.withRemote()
    git(team.human, 'push', '--quiet', 'origin', 'HEAD:feature/ä')
    const sync = await team.start()
    sync.setPreviewBranches(['feature/ä', '..', '../x'])
    await sync.round()
    expect(readdirSync(previews)).toEqual(['feature%2F%C3%A4'])
  })

  it('gives way to the end, which still commits and pushes', async () => {
    const sync = await started()
    write(team.human, { 'late.txt': 'late' })
    team.commit('late')
    write(team.workspace, { 'last.txt': 'last' })
    const round = sync.round()
    await sync.finish(new Date(Date.now() + 30_000))
    await round
    expect(team.atRemote('last.txt')).toBe('last')
  })
})
