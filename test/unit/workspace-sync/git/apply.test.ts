/** Agents write while what others pushed is brought into the working tree. */
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, symlinkSync, writeSync } from 'node:fs'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { git, Team, write } from './support.ts'

let team: Team
beforeEach(() => {
  team = new Team().withRemote({ 'a.txt': 'a\n', 'b.txt': 'b\n', 'folder/c.txt': 'c\n', gone: 'gone\n' })
})
afterEach(() => team.end())

/** A sync whose next round finds the working tree as it is now, and by the time it applies something, `act` has happened. */
async function started() {
  let before: (() => void) | undefined
  const repository = {
    url: `file://${team.remote}`,
    // Asked for when the working tree has been read and before anything is fetched.
    gitEnvironment: async () => {
      const now = before
      before = undefined
      now?.()
      return team.environment
    },
  }
  const sync = await team.start({ repository })
  return {
    sync,
    meanwhile: (what: () => void) => {
      before = what
    },
  }
}

const theirs = (files: Record<string, string>) => {
  write(team.human, files)
  git(team.human, 'fetch', '--quiet')
  git(team.human, 'merge', '--quiet', '--no-edit', '-X', 'ours', 'origin/main')
  team.commit('theirs')
}

it('leaves a file that an agent changes meanwhile, and merges it in the next round', async () => {
  const { sync, meanwhile } = await started()
  theirs({ 'a.txt': 'theirs\n', 'b.txt': 'theirs\n' })
  meanwhile(() => write(team.workspace, { 'a.txt': 'ours, meanwhile\n' }))
  await sync.round()
  expect(team.read('a.txt')).toBe('ours, meanwhile\n')
  expect(team.read('b.txt')).toBe('theirs\n')
  await sync.round()
  // Both changed it: the remote's stays, the other one is kept. b.txt is not taken back.
  expect(team.read('a.txt')).toBe('theirs\n')
  expect(team.rescues().map((name) => team.atRemote('a.txt', name))).toEqual(['ours, meanwhile\n'])
  expect(team.atRemote('b.txt')).toBe('theirs\n')
  expect(team.agent('status', '--porcelain')).toBe('')
})

it('does not write over files that agents make, delete, rename or turn into something else meanwhile', async () => {
  const { sync, meanwhile } = await started()
  theirs({
    'a.txt': 'theirs\n',
    'b.txt': 'theirs\n',
    'folder/c.txt': 'theirs\n',
    'new.txt': 'theirs\n',
    'made/x.txt': 'theirs\n',
  })
  rmSync(path.join(team.human, 'gone'))
  team.commit('removed')
  meanwhile(() => {
    write(team.workspace, { 'new.txt': 'ours\n', made: 'ours\n', gone: 'changed\n' })
    rmSync(path.join(team.workspace, 'a.txt'))
    renameSync(path.join(team.workspace, 'b.txt'), path.join(team.workspace, 'moved.txt'))
    renameSync(path.join(team.workspace, 'folder'), path.join(team.base, 'folder'))
    mkdirSync(path.join(team.base, 'outside'))
    symlinkSync(path.join(team.base, 'outside'), path.join(team.workspace, 'folder'))
  })
  await sync.round()
  expect(team.read('new.txt')).toBe('ours\n')
  expect(team.read('made')).toBe('ours\n')
  expect(team.read('gone')).toBe('changed\n')
  expect(team.read('moved.txt')).toBe('b\n')
  expect(team.files()).toEqual(['folder', 'gone', 'made', 'moved.txt', 'new.txt'])
  expect(readdirSync(path.join(team.base, 'outside'))).toEqual([])
  await sync.round()
  const everything = git(team.remote, 'log', '--all', '-p', '--format=')
  for (const text of ['+ours', '+changed']) expect(everything).toContain(text)
  expect(team.report.state).toBe('synced')
})

it('puts a file where agents have left empty directories, but not where something is in them', async () => {
  const { sync } = await started()
  mkdirSync(path.join(team.workspace, 'empty.txt/a/b'), { recursive: true })
  write(team.workspace, { '.gitignore': '*.log\n', 'full.txt/a/x.log': 'x\n' })
  await sync.round()
  theirs({ 'empty.txt': 'theirs\n', 'full.txt': 'theirs\n' })
  await sync.round()
  expect(team.read('empty.txt')).toBe('theirs\n')
  expect(team.read('full.txt/a/x.log')).toBe('x\n')
  expect(team.report.detail).toBe('Not brought in yet, because the workspace has something else there: full.txt')
  rmSync(path.join(team.workspace, 'full.txt/a/x.log'))
  await sync.round()
  expect(team.read('full.txt')).toBe('theirs\n')
  await sync.round()
  expect(team.agent('status', '--porcelain')).toBe('')
})

it('takes nothing back when only a part could be applied, round after round', async () => {
  const { sync, meanwhile } = await started()
  theirs({ 'a.txt': 'theirs\n', 'b.txt': 'theirs\n' })
  for (let i = 0; i < 3; i++) {
    meanwhile(() => write(team.workspace, { 'a.txt': `ours ${i}\n` }))
    await sync.round()
    expect(team.atRemote('b.txt')).toBe('theirs\n')
    expect(team.read('b.txt')).toBe('theirs\n')
  }
  await sync.round()
  expect(team.atRemote('a.txt')).toBe('theirs\n')
  const kept = team.rescues().map((name) => team.atRemote('a.txt', name))
  expect(kept).toEqual(expect.arrayContaining(['ours 1\n', 'ours 2\n']))
})

it('keeps what is written to a file that was open while it was replaced', async () => {
  const { sync } = await started()
  const open = openSync(path.join(team.workspace, 'a.txt'), 'a')
  theirs({ 'a.txt': 'theirs\n' })
  await sync.round()
  expect(team.read('a.txt')).toBe('theirs\n')
  writeSync(open, 'late\n')
  closeSync(open)
  await sync.round()
  // Not looked at yet: somebody may still be writing.
  expect(team.rescues()).toEqual([])
  team.now = new Date(team.now.getTime() + 60_000)
  await sync.round()
  expect(team.rescues().map((name) => team.atRemote('a.txt', name))).toEqual(['a\nlate\n'])
  expect(team.report.rescued).toEqual(team.rescues())
  expect(team.read('a.txt')).toBe('theirs\n')
  expect(readdirSync(path.join(team.sync, 'replaced'))).toEqual([])
})

it('does not apply to a branch that an agent has switched to meanwhile', async () => {
  const { sync, meanwhile } = await started()
  theirs({ 'a.txt': 'theirs\n' })
  meanwhile(() => team.agent('switch', '--quiet', '-c', 'feature'))
  await sync.round()
  expect(team.read('a.txt')).toBe('a\n')
  await sync.round()
  expect(team.read('a.txt')).toBe('a\n')
  team.agent('switch', '--quiet', 'main')
  await sync.round()
  expect(team.read('a.txt')).toBe('theirs\n')
})

it('loses no version while an agent writes the same file as fast as it can', { timeout: 120_000 }, async () => {
  const sync = await team.start()
  const file = path.join(team.workspace, 'a.txt')
  const shared = new SharedArrayBuffer(8)
  const state = new Int32Array(shared)
  // Half of it in place, half by renaming; each version stays until the round after it has ended.
  const writer = new Worker(
    `const { writeFileSync, renameSync } = require('node:fs')
     const { workerData: { file, shared } } = require('node:worker_threads')
     const state = new Int32Array(shared)
     for (let n = 1; Atomics.load(state, 0) === 0; n++) {
       const text = 'version ' + n + '\\n'
       if (n % 2) writeFileSync(file, text)
       else { writeFileSync(file + '.tmp', text); renameSync(file + '.tmp', file) }
       Atomics.store(state, 1, n)
     }`,
    { eval: true, workerData: { file, shared } },
  )
  const ended = new Promise((resolve, reject) => writer.once('exit', resolve).once('error', reject))
  try {
    for (let i = 0; i < 10; i++) {
      theirs({ 'a.txt': `theirs ${i}\n`, [`other-${i}.txt`]: 'theirs\n' })
      await sync.round()
    }
  } finally {
    Atomics.store(state, 0, 1)
    await ended
  }
  const last = `version ${state[1]}\n`
  team.now = new Date(team.now.getTime() + 60_000)
  for (let i = 0; i < 3; i++) await sync.round()
  const everything = git(team.remote, 'log', '--all', '-p', '--format=', '--', 'a.txt')
  expect(everything + (team.read('a.txt') ?? '')).toContain(last)
  for (let i = 0; i < 10; i++) expect(team.read(`other-${i}.txt`)).toBe('theirs\n')
  expect(team.report.state).toBe('synced')
})
