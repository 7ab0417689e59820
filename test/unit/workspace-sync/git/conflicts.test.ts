/** Both sides changed the same: the branch goes on from the remote, the workspace's version is on a rescue branch. */
import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { git, Team, write } from './support.ts'

let team: Team
beforeEach(() => {
  team = new Team()
})
afterEach(() => team.end())

type Side = (folder: string) => void
const put =
  (files: Record<string, string | Buffer>): Side =>
  (folder) =>
    write(folder, files)
const remove =
  (name: string): Side =>
  (folder) =>
    rmSync(path.join(folder, name), { recursive: true })
const move =
  (from: string, to: string): Side =>
  (folder) => {
    mkdirSync(path.dirname(path.join(folder, to)), { recursive: true })
    renameSync(path.join(folder, from), path.join(folder, to))
  }
const both =
  (...sides: Side[]): Side =>
  (folder) => {
    for (const side of sides) side(folder)
  }

const LINES = Array.from({ length: 20 }, (_, i) => `line ${i}\n`).join('')

/** What each side did, and what the files are then: in the workspace and at the remote the same, and on the rescue branch. */
const CASES: Record<
  string,
  { ours: Side; theirs: Side; after: Record<string, string | undefined>; rescued: Record<string, string | undefined> }
> = {
  'the same line': {
    ours: put({ 'a.txt': 'ours\n' }),
    theirs: put({ 'a.txt': 'theirs\n' }),
    after: { 'a.txt': 'theirs\n' },
    rescued: { 'a.txt': 'ours\n' },
  },
  'a file made on both sides': {
    ours: put({ 'new.txt': 'ours\n' }),
    theirs: put({ 'new.txt': 'theirs\n' }),
    after: { 'new.txt': 'theirs\n', 'a.txt': LINES },
    rescued: { 'new.txt': 'ours\n' },
  },
  'changed here, deleted there': {
    ours: put({ 'a.txt': 'ours\n' }),
    theirs: remove('a.txt'),
    after: { 'a.txt': undefined },
    rescued: { 'a.txt': 'ours\n' },
  },
  'deleted here, changed there': {
    ours: remove('a.txt'),
    theirs: put({ 'a.txt': 'theirs\n' }),
    after: { 'a.txt': 'theirs\n' },
    rescued: { 'a.txt': undefined },
  },
  'a directory here, a file there': {
    ours: put({ 'thing/inner.txt': 'ours\n' }),
    theirs: put({ thing: 'theirs\n' }),
    after: { thing: 'theirs\n' },
    rescued: { 'thing/inner.txt': 'ours\n' },
  },
  'a file here, a directory there': {
    ours: put({ thing: 'ours\n' }),
    theirs: put({ 'thing/inner.txt': 'theirs\n' }),
    after: { 'thing/inner.txt': 'theirs\n' },
    rescued: { thing: 'ours\n' },
  },
  'a directory in the place of a file that was changed': {
    ours: both(remove('a.txt'), put({ 'a.txt/inner': 'ours\n' })),
    theirs: put({ 'a.txt': 'theirs\n' }),
    after: { 'a.txt': 'theirs\n' },
    rescued: { 'a.txt/inner': 'ours\n' },
  },
  'binary files': {
    ours: put({ 'data.bin': Buffer.from([0, 1, 2]) }),
    theirs: put({ 'data.bin': Buffer.from([0, 3, 4]) }),
    after: { 'data.bin': '\0\u0003\u0004' },
    rescued: { 'data.bin': '\0\u0001\u0002' },
  },
  'renamed to two names': {
    ours: move('a.txt', 'ours.txt'),
    theirs: move('a.txt', 'theirs.txt'),
    after: { 'a.txt': undefined, 'ours.txt': undefined, 'theirs.txt': LINES },
    rescued: { 'ours.txt': LINES },
  },
  'renamed here, deleted there': {
    ours: move('a.txt', 'ours.txt'),
    theirs: remove('a.txt'),
    after: { 'a.txt': undefined, 'ours.txt': undefined },
    rescued: { 'ours.txt': LINES },
  },
}

it.each(Object.keys(CASES))('keeps both: %s', async (name) => {
  const { ours, theirs, after, rescued } = CASES[name] as (typeof CASES)[string]
  team.withRemote({ 'a.txt': LINES, 'other.txt': 'other\n', 'data.bin': Buffer.from([0, 0, 0]) })
  const sync = await team.start()
  ours(team.workspace)
  write(team.workspace, { 'also-ours.txt': 'merged\n' })
  theirs(team.human)
  const tip = team.commit('theirs')
  await sync.round()
  const [rescue = ''] = team.rescues()
  expect(team.rescues()).toHaveLength(1)
  expect(rescue).toMatch(/^covibes\/rescue\/20250131T120000Z-[0-9a-f]{8}$/)
  expect(team.report).toMatchObject({ state: 'synced', rescued: [rescue] })
  expect(team.report.detail).toContain(rescue)
  for (const [file, text] of Object.entries(after)) {
    expect([file, team.atRemote(file)]).toEqual([file, text])
    expect([file, text !== undefined || team.files().includes(file) ? team.read(file) : undefined]).toEqual([
      file,
      text,
    ])
  }
  for (const [file, text] of Object.entries(rescued)) expect([file, team.atRemote(file, rescue)]).toEqual([file, text])
  // What could be merged was.
  expect(team.atRemote('also-ours.txt')).toBe('merged\n')
  expect(team.read('also-ours.txt')).toBe('merged\n')
  // The branch goes on from what the human pushed, and the rescue branch can be merged by hand: it meets the conflict again.
  expect(git(team.remote, 'rev-parse', 'main^')).toBe(tip)
  expect(() =>
    execFileSync('git', ['merge-tree', '--write-tree', 'main', rescue], { cwd: team.remote, stdio: 'pipe' }),
  ).toThrow()
  expect(team.agent('status', '--porcelain')).toBe('')
  // And it is settled: nothing more happens.
  const main = git(team.remote, 'rev-parse', 'main')
  await sync.round()
  expect(git(team.remote, 'rev-parse', 'main')).toBe(main)
  expect(team.rescues()).toHaveLength(1)
  expect(team.report.rescued).toBeUndefined()
})

it('merges different lines of a file, renames, modes and links without a rescue branch', async () => {
  team.withRemote({ 'a.txt': LINES, 'b.txt': LINES.replaceAll('line', 'word'), 'run.sh': '#!/bin/sh\n' })
  const sync = await team.start()
  write(team.workspace, { 'a.txt': LINES.replace('line 1\n', 'ours\n') })
  renameSync(path.join(team.workspace, 'b.txt'), path.join(team.workspace, 'c.txt'))
  chmodSync(path.join(team.workspace, 'run.sh'), 0o755)
  symlinkSync('a.txt', path.join(team.workspace, 'link'))
  write(team.human, {
    'a.txt': LINES.replace('line 18\n', 'theirs\n'),
    'b.txt': LINES.replaceAll('line', 'word').replace('word 3\n', 'theirs\n'),
  })
  team.commit('theirs')
  await sync.round()
  expect(team.rescues()).toEqual([])
  expect(team.read('a.txt')).toBe(LINES.replace('line 1\n', 'ours\n').replace('line 18\n', 'theirs\n'))
  expect(team.read('c.txt')).toContain('theirs\n')
  expect(team.files()).toEqual(['a.txt', 'c.txt', 'link', 'run.sh'])
  expect(git(team.remote, 'ls-tree', 'main', 'run.sh')).toMatch(/^100755/)
  expect(team.atRemote('link')).toBe('a.txt')
  expect(lstatSync(path.join(team.workspace, 'link')).isSymbolicLink()).toBe(true)
  expect(team.agent('status', '--porcelain')).toBe('')
})

it("keeps an agent's own commit on the rescue branch and lets agents go on", async () => {
  team.withRemote({ 'a.txt': LINES })
  const sync = await team.start()
  write(team.workspace, { 'a.txt': 'ours\n' })
  team.agent('commit', '--quiet', '--all', '-m', 'by an agent')
  write(team.human, { 'a.txt': 'theirs\n' })
  team.commit('theirs')
  await sync.round()
  const [rescue = ''] = team.rescues()
  expect(git(team.remote, 'log', '-1', '--format=%s', rescue)).toBe('by an agent')
  expect(team.agent('status', '--porcelain')).toBe('')
  expect(team.agent('rev-parse', 'main')).toBe(git(team.remote, 'rev-parse', 'main'))
  write(team.workspace, { 'a.txt': 'again\n' })
  team.agent('commit', '--quiet', '--all', '-m', 'again')
  await sync.round()
  expect(team.atRemote('a.txt')).toBe('again\n')
  expect(git(team.remote, 'log', '-1', '--format=%s', 'main')).toBe('again')
  expect(team.rescues()).toHaveLength(1)
})
