/** What a kill, a full disk, a broken repository or lost notes leave, and how it goes on. */
import { execFileSync, fork } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { git, Team, write } from './support.ts'

let team: Team
beforeEach(() => {
  team = new Team()
})
afterEach(() => team.end())

const deadline = () => new Date(Date.now() + 20_000)
const repository = () => path.join(team.sync, 'repository.git')

/** Prepared, with one commit of agents' pushed, and ended. */
async function workedOnce() {
  team.withRemote({ 'README.md': 'readme\n', 'a.txt': 'a\n' })
  const sync = await team.start()
  write(team.workspace, { 'ours.txt': 'ours\n' })
  await sync.round()
  await sync.finish(deadline())
}

/** A round in which both sides have something new, after a new start. */
async function worksAgain() {
  const sync = await team.start()
  write(team.workspace, { 'after.txt': 'after\n' })
  await sync.round()
  git(team.human, 'pull', '--quiet', '--no-rebase', '--no-edit')
  write(team.human, { 'theirs.txt': 'theirs\n' })
  team.commit('theirs')
  await sync.round()
  expect(team.report.state).toBe('synced')
  expect([team.atRemote('after.txt'), team.read('theirs.txt')]).toEqual(['after\n', 'theirs\n'])
  expect(team.atRemote('ours.txt')).toBe('ours\n')
  return sync
}

describe('after a kill', () => {
  it('removes the locks and halves of its own git, not those of agents', async () => {
    await workedOnce()
    for (const name of [
      'config.lock',
      'packed-refs.lock',
      'refs/sync/line.lock',
      'objects/pack/tmp_pack_x',
      'shallow.lock',
    ])
      write(repository(), { [name]: 'half' })
    write(team.sync, { 'index.lock': 'half', 'state.json.new': 'half', 'scratch/x': 'half' })
    write(team.workspace, { '.git/refs/heads/agent.lock': '' })
    await worksAgain()
    expect(existsSync(path.join(team.workspace, '.git/refs/heads/agent.lock'))).toBe(true)
    expect(existsSync(path.join(repository(), 'objects/pack/tmp_pack_x'))).toBe(false)
  })

  it("removes locks in the agents' repository that are its own", async () => {
    await workedOnce()
    const locks = path.join(team.sync, 'agent-locks')
    write(locks, { index: 'half', branch: 'half', name: 'main' })
    linkSync(path.join(locks, 'index'), path.join(team.workspace, '.git/index.lock'))
    linkSync(path.join(locks, 'branch'), path.join(team.workspace, '.git/refs/heads/main.lock'))
    await worksAgain()
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(existsSync(path.join(team.workspace, '.git/refs/heads/main.lock'))).toBe(false)
  })

  it('begins a clone anew that was not complete', async () => {
    team.withRemote()
    write(team.sync, { 'repository.new/HEAD': 'half', 'workspace.new/half': 'half' })
    await team.start()
    expect(team.files()).toEqual(['README.md'])
  })

  it('puts back a file that was moved away when nothing had taken its place yet', async () => {
    await workedOnce()
    const folder = path.join(team.sync, 'replaced/1-x')
    const oid = git(team.workspace, 'hash-object', 'a.txt')
    write(folder, {
      'journal.json': JSON.stringify({ finished: false, paths: [{ path: 'a.txt', from: oid, to: '1'.repeat(40) }] }),
    })
    renameSync(path.join(team.workspace, 'a.txt'), path.join(folder, '0'))
    await worksAgain()
    expect(team.read('a.txt')).toBe('a\n')
    expect(team.atRemote('a.txt')).toBe('a\n')
    expect(team.rescues()).toEqual([])
  })

  it('goes on where the last round was cut off, wherever that was', { timeout: 120_000 }, async () => {
    await workedOnce()
    const file = path.join(import.meta.dirname, 'sync-process.ts')
    for (let i = 0; i < 12; i++) {
      const child = fork(file, [team.root, `file://${team.remote}`], {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        execArgv: [],
      })
      const answer = () => new Promise((resolve) => child.once('message', resolve))
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.send('prepare')
      await answer()
      write(team.workspace, { [`ours-${i}.txt`]: `ours ${i}\n`, 'a.txt': `ours ${i}\n${'x\n'.repeat(20)}theirs\n` })
      git(team.human, 'pull', '--quiet', '--no-rebase', '--no-edit', '-X', 'ours')
      write(team.human, { [`theirs-${i}.txt`]: `theirs ${i}\n` })
      team.commit(`theirs ${i}`)
      child.send('round')
      // Earlier in each life, so that every part of a round is met.
      const timer = setTimeout(() => child.kill('SIGKILL'), 20 + i * 25)
      await Promise.race([answer(), ended])
      clearTimeout(timer)
      child.kill('SIGKILL')
      await ended
    }
    await worksAgain()
    for (let i = 0; i < 12; i++) {
      expect(team.atRemote(`ours-${i}.txt`)).toBe(`ours ${i}\n`)
      expect(team.read(`theirs-${i}.txt`)).toBe(`theirs ${i}\n`)
    }
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(git(repository(), 'fsck', '--no-dangling', '--no-progress')).toBe('')
  })
})

describe('a broken repository of its own', () => {
  const objects = () => {
    const folder = path.join(repository(), 'objects')
    return execFileSync('find', [folder, '-type', 'f', '-size', '+0'], { encoding: 'utf8' }).trim().split('\n')
  }

  it.each<[string, () => void]>([
    ['is gone', () => rmSync(repository(), { recursive: true })],
    [
      'is empty',
      () => {
        rmSync(repository(), { recursive: true })
        mkdirSync(repository())
      },
    ],
    ['has no objects', () => rmSync(path.join(repository(), 'objects'), { recursive: true })],
    [
      'has a truncated object',
      () => {
        for (const file of objects()) {
          chmodSync(file, 0o644)
          truncateSync(file, 1)
        }
      },
    ],
    [
      'has garbage for objects',
      () => {
        for (const file of objects()) {
          chmodSync(file, 0o644)
          writeFileSync(file, 'garbage')
        }
      },
    ],
  ])('that %s is cloned anew, and nothing is lost', async (_, breakIt) => {
    await workedOnce()
    write(team.workspace, { 'unsaved.txt': 'not committed yet\n' })
    breakIt()
    const sync = await worksAgain()
    expect(team.atRemote('unsaved.txt')).toBe('not committed yet\n')
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(team.rescues()).toEqual([])
    await sync.finish(deadline())
  })

  it('saves what had not been pushed', async () => {
    await workedOnce()
    const hook = path.join(team.remote, 'hooks/update')
    write(team.remote, { 'hooks/update': '#!/bin/sh\nexit 1\n' })
    chmodSync(hook, 0o755)
    let sync = await team.start()
    write(team.workspace, { 'unpushed.txt': 'one\n' })
    await sync.round()
    team.agent('switch', '--quiet', '-c', 'side')
    write(team.workspace, { 'side.txt': 'side\n' })
    await sync.round()
    write(team.workspace, { 'unpushed.txt': 'two\n' })
    await sync.finish(deadline())
    rmSync(hook)
    // One object that nothing needs to go on is broken.
    rmSync(path.join(repository(), 'info'), { recursive: true })
    rmSync(path.join(repository(), 'HEAD'))
    sync = await team.start()
    await sync.round()
    await sync.round()
    const everything = git(team.remote, 'log', '--all', '-p', '--format=')
    for (const text of ['+one', '+two', '+side']) expect(everything).toContain(text)
  })

  it('is found in the middle of work, too', async () => {
    team.withRemote({ 'README.md': 'readme\n' })
    const sync = await team.start()
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    for (const file of objects()) {
      chmodSync(file, 0o644)
      writeFileSync(file, 'garbage')
    }
    write(team.workspace, { 'after.txt': 'after\n' })
    for (let i = 0; i < 3; i++) await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.atRemote('after.txt')).toBe('after\n')
    expect(readdirSync(path.join(team.sync, 'set-aside'))).toHaveLength(1)
  })

  it('mends its index', async () => {
    await workedOnce()
    writeFileSync(path.join(team.sync, 'index'), 'garbage')
    const sync = await team.start()
    write(team.workspace, { 'after.txt': 'after\n' })
    await sync.round()
    await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.atRemote('after.txt')).toBe('after\n')
  })
})

describe('lost notes', () => {
  it.each(['', 'garbage', '{"version":1}'])("%j: goes on from what the agents' repository says", async (text) => {
    await workedOnce()
    writeFileSync(path.join(team.sync, 'state.json'), text)
    write(team.workspace, { 'unsaved.txt': 'not committed yet\n' })
    git(team.human, 'pull', '--quiet')
    write(team.human, { 'a.txt': 'theirs\n' })
    team.commit('theirs')
    await worksAgain()
    expect(team.atRemote('unsaved.txt')).toBe('not committed yet\n')
    expect(team.read('a.txt')).toBe('theirs\n')
    expect(team.rescues()).toEqual([])
  })

  it('and no repository of agents: keeps everything on a rescue branch, and new files in the workspace', async () => {
    await workedOnce()
    rmSync(path.join(team.sync, 'state.json'))
    rmSync(path.join(team.workspace, '.git'), { recursive: true })
    write(team.workspace, { 'new.txt': 'new\n', 'a.txt': 'ours\n' })
    rmSync(path.join(team.workspace, 'README.md'))
    await worksAgain()
    expect(team.rescues()).toHaveLength(1)
    const [rescue = ''] = team.rescues()
    expect([team.atRemote('new.txt', rescue), team.atRemote('a.txt', rescue)]).toEqual(['new\n', 'ours\n'])
    expect([team.read('new.txt'), team.read('a.txt'), team.read('README.md')]).toEqual(['new\n', 'a\n', 'readme\n'])
  })

  it('takes in a workspace that was there before there was any sync', async () => {
    team.withRemote()
    write(team.workspace, { 'early.txt': 'early\n' })
    await team.start().then((sync) => sync.round())
    expect(team.files()).toEqual(['README.md', 'early.txt'])
    expect(team.atRemote('early.txt')).toBe('early\n')
  })
})

describe('another repository', () => {
  it('is cloned; the workspace of the one before is set aside, not pushed to it', async () => {
    await workedOnce()
    write(team.workspace, { 'unsaved.txt': 'of the first repository\n' })
    const other = new Team().withRemote({ 'other.txt': 'other\n' })
    const sync = await team.start({
      repository: { url: `file://${other.remote}`, gitEnvironment: async () => team.environment },
    })
    await sync.round()
    expect(team.files()).toEqual(['other.txt'])
    expect(git(other.remote, 'log', '--all', '--format=%s')).toBe('first')
    const [kept = ''] = readdirSync(path.join(team.sync, 'set-aside'))
    expect(readFileSync(path.join(team.sync, 'set-aside', kept, 'workspace/unsaved.txt'), 'utf8')).toBe(
      'of the first repository\n',
    )
    other.end()
  })

  it("the team's first one gets what was there without one", async () => {
    let sync = await team.start()
    write(team.workspace, { 'early.txt': 'early\n', 'README.md': 'ours\n' })
    await sync.round()
    await sync.finish(deadline())
    team.withRemote({ 'README.md': 'theirs\n' })
    sync = await team.start()
    await sync.round()
    expect(team.read('early.txt')).toBe('early\n')
    expect(team.atRemote('early.txt')).toBe('early\n')
    expect(team.read('README.md')).toBe('theirs\n')
    expect(team.rescues().map((name) => team.atRemote('README.md', name))).toEqual(['ours\n'])
  })
})

describe('the workspace itself', () => {
  it('is made again when agents have removed it', async () => {
    team.withRemote()
    const sync = await team.start()
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    rmSync(team.workspace, { recursive: true })
    await sync.round()
    expect(team.files()).toEqual(['README.md', 'ours.txt'])
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(team.report.detail).toContain('has been made again')
    expect(team.atRemote('ours.txt')).toBe('ours\n')
  })

  it('may be removed while it is on no branch', async () => {
    team.withRemote()
    const sync = await team.start()
    team.agent('switch', '--quiet', '--detach')
    write(team.workspace, { 'detached.txt': 'detached\n' })
    await sync.round()
    rmSync(team.workspace, { recursive: true })
    await sync.round()
    expect(team.files()).toEqual(['README.md'])
    expect(team.agent('symbolic-ref', '--short', 'HEAD')).toBe('main')
    expect(team.rescues().map((name) => team.atRemote('detached.txt', name))).toEqual(['detached\n'])
  })
})

describe('two at a time', () => {
  it('the second one waits for the first', async () => {
    team.withRemote()
    const first = await team.start()
    const second = team.create()
    let prepared = false
    const preparing = second.prepare().then(() => {
      prepared = true
    })
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await first.round()
    expect(prepared).toBe(false)
    await first.finish(deadline())
    await preparing
    await second.round()
    expect(team.report.state).toBe('synced')
  })
})

describe('a full disk', () => {
  const mounted = () => {
    try {
      mkdirSync(team.root, { recursive: true })
      execFileSync('sh', ['-c', `mount -t tmpfs -o size=3m tmpfs '${team.root}'`], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }

  it('is told, leaves nothing half-written, and is over when there is room', async (context) => {
    // Only root may mount; elsewhere there is no small disk.
    if (!mounted()) return context.skip()
    try {
      team.withRemote()
      const sync = await team.start()
      const filler = path.join(team.root, 'filler')
      const free = () =>
        Number(execFileSync('df', ['--output=avail', '-B1', team.root], { encoding: 'utf8' }).split('\n')[1])
      writeFileSync(filler, Buffer.alloc(free() - 40_000))
      write(team.workspace, { 'ours.txt': Buffer.from(Array.from({ length: 25_000 }, (_, i) => (i * 7919) % 251)) })
      await sync.round()
      expect(team.report).toMatchObject({ state: 'failed', detail: expect.stringMatching(/no space/i) })
      expect(statSync(path.join(team.workspace, 'ours.txt')).size).toBe(25_000)
      rmSync(filler)
      await sync.round()
      expect(team.report.state).toBe('synced')
      expect(team.atRemote('ours.txt')).toHaveLength(readFileSync(path.join(team.workspace, 'ours.txt'), 'utf8').length)
      expect(team.agent('status', '--porcelain')).toBe('')
      expect(git(repository(), 'fsck', '--no-dangling', '--no-progress')).toBe('')
      await sync.finish(deadline())
    } finally {
      execFileSync('sh', ['-c', `umount --lazy '${team.root}'`])
    }
  })
})
