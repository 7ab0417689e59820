/** What the remote may do while the workspace goes on. */
import { chmodSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { git, Team, write } from './support.ts'

let team: Team
let server: Server | undefined
beforeEach(() => {
  team = new Team()
})
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
  team.end()
})

/** Does something just before the `n`th command that speaks to the remote from now on. */
function beforeRemoteCommand(n: number, act: () => void) {
  let count = 0
  return {
    url: `file://${team.remote}`,
    gitEnvironment: async () => {
      if (++count === n) act()
      return team.environment
    },
  }
}

describe('the remote moves', () => {
  it('between fetch and push: fetches, merges and pushes again', async () => {
    team.withRemote()
    await (await team.start()).finish(new Date(Date.now() + 10_000))
    // 1 fetch, 2 push
    const repository = beforeRemoteCommand(3, () => {
      write(team.human, { 'theirs.txt': 'theirs\n' })
      team.commit('theirs')
    })
    // The first command is the clone's question of old; it is not asked again.
    const sync = await team.start({ repository })
    await sync.round()
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.files(team.workspace)).toEqual(['README.md', 'ours.txt', 'theirs.txt'])
    expect([team.atRemote('ours.txt'), team.atRemote('theirs.txt')]).toEqual(['ours\n', 'theirs\n'])
    expect(team.report.state).toBe('synced')
    expect(team.rescues()).toEqual([])
  })

  it('each time: gives up until the next round, and loses nothing', async () => {
    team.withRemote()
    let moves = 0
    const repository = {
      url: `file://${team.remote}`,
      gitEnvironment: async () => {
        if (moves >= 0 && team.reports.length > 1) {
          write(team.human, { [`theirs-${++moves}.txt`]: 'theirs\n' })
          team.commit(`theirs ${moves}`)
        }
        return team.environment
      },
    }
    const sync = await team.start({ repository })
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.report).toMatchObject({ state: 'unpushed', detail: 'The remote kept changing while it was pushed to' })
    expect(team.read('theirs-1.txt')).toBe('theirs\n')
    moves = -1
    await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.atRemote('ours.txt')).toBe('ours\n')
    expect(team.agent('status', '--porcelain')).toBe('')
  })
})

describe('its history is rewritten', () => {
  it('follows it, keeps the old one, and puts the work that was not in it on top', async () => {
    team.withRemote({ 'README.md': 'readme\n' })
    write(team.human, { 'bad.txt': 'secret\n' })
    const old = team.commit('bad')
    const sync = await team.start()
    write(team.workspace, { 'ours.txt': 'ours\n' })
    git(team.human, 'reset', '--quiet', '--hard', 'HEAD^')
    write(team.human, { 'good.txt': 'good\n' })
    git(team.human, 'add', '--all')
    git(team.human, 'commit', '--quiet', '-m', 'good')
    git(team.human, 'push', '--quiet', '--force', 'origin', 'main')
    await sync.round()
    const [rescue = ''] = team.rescues()
    expect(team.rescues()).toHaveLength(1)
    expect(git(team.remote, 'merge-base', rescue, old)).toBe(old)
    expect(git(team.remote, 'log', '--format=%s', 'main')).toBe('Bring in the workspace\ngood\nfirst')
    expect(team.files()).toEqual(['README.md', 'good.txt', 'ours.txt'])
    expect(git(team.remote, 'ls-tree', '--name-only', 'main').split('\n')).toEqual([
      'README.md',
      'good.txt',
      'ours.txt',
    ])
    expect(team.report).toMatchObject({ state: 'synced', rescued: [rescue] })
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(team.agent('rev-parse', 'main')).toBe(git(team.remote, 'rev-parse', 'main'))
    await sync.round()
    expect(team.rescues()).toHaveLength(1)
  })

  it('goes back with it when there is nothing of our own', async () => {
    team.withRemote({ 'README.md': 'readme\n' })
    write(team.human, { 'b.txt': 'b\n' })
    const old = team.commit('second')
    const sync = await team.start()
    git(team.human, 'push', '--quiet', '--force', 'origin', 'HEAD^:main')
    await sync.round()
    expect(team.files()).toEqual(['README.md'])
    expect(git(team.remote, 'rev-parse', 'main')).toBe(git(team.human, 'rev-parse', 'HEAD^'))
    expect(team.rescues().map((name) => git(team.remote, 'rev-parse', name))).toEqual([old])
  })

  it('keeps it also while the workspace is on another branch, and while the old one could not be brought in', async () => {
    team.withRemote({ 'a.txt': 'one\n', '.gitignore': 'secret.env\n' })
    const sync = await team.start()
    const rewrite = (text: string) => {
      write(team.human, { 'a.txt': text })
      git(team.human, 'commit', '--quiet', '--all', '--amend', '-m', text)
      git(team.human, 'push', '--quiet', '--force', 'origin', 'main')
    }
    // An ignored file is in the way, so that the line stays behind.
    write(team.workspace, { 'secret.env': 'mine\n' })
    write(team.human, { 'a.txt': 'two\n', 'secret.env': 'theirs\n' })
    git(team.human, 'add', '--force', 'secret.env')
    team.commit('two')
    await sync.round()
    rewrite('three\n')
    await sync.round()
    expect(team.rescues().map((name) => team.atRemote('a.txt', name))).toEqual(['two\n'])
    team.agent('switch', '--quiet', '-c', 'feature')
    rewrite('four\n')
    await sync.round()
    expect(
      team
        .rescues()
        .map((name) => team.atRemote('a.txt', name))
        .sort(),
    ).toEqual(['three\n', 'two\n'])
    expect(team.report.state).toBe('synced')
  })

  it('keeps what could not be merged with the new one', async () => {
    team.withRemote({ 'a.txt': 'one\n' })
    const sync = await team.start()
    write(team.workspace, { 'a.txt': 'ours\n' })
    write(team.human, { 'a.txt': 'rewritten\n' })
    git(team.human, 'commit', '--quiet', '--all', '--amend', '-m', 'rewritten')
    git(team.human, 'push', '--quiet', '--force', 'origin', 'main')
    await sync.round()
    expect(team.read('a.txt')).toBe('rewritten\n')
    expect(team.rescues().map((name) => team.atRemote('a.txt', name))).toEqual(['ours\n'])
    expect(git(team.remote, 'rev-parse', 'main')).toBe(git(team.human, 'rev-parse', 'main'))
  })
})

describe('branches', () => {
  it('recreates a branch that was deleted, with what the workspace has', async () => {
    team.withRemote()
    const sync = await team.start()
    git(team.remote, 'update-ref', '-d', 'refs/heads/main')
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.branches()).toEqual(['main'])
    expect(team.atRemote('ours.txt')).toBe('ours\n')
    expect(team.atRemote('README.md')).toBe('readme\n')
    expect(team.report.state).toBe('synced')
  })

  it('does not bring back a branch that was merged and deleted', async () => {
    team.withRemote()
    const sync = await team.start()
    team.agent('switch', '--quiet', '-c', 'feature')
    write(team.workspace, { 'feature.txt': 'feature\n' })
    await sync.round()
    expect(team.branches()).toEqual(['feature', 'main'])
    git(team.human, 'fetch', '--quiet')
    git(team.human, 'merge', '--quiet', 'origin/feature')
    git(team.human, 'push', '--quiet', 'origin', 'main', ':feature')
    await sync.round()
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    await sync.round()
    expect(team.branches()).toEqual(['main'])
    expect(team.read('feature.txt')).toBe('feature\n')
  })

  it('follows the default branch to its new name', async () => {
    team.withRemote()
    const sync = await team.start()
    git(team.remote, 'branch', '--quiet', '-m', 'main', 'trunk')
    git(team.remote, 'symbolic-ref', 'HEAD', 'refs/heads/trunk')
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.report.detail).toBe('main is called trunk at the remote now')
    write(team.workspace, { 'ours.txt': 'ours again\n' })
    await sync.round()
    expect(team.branches()).toEqual(['trunk'])
    expect(team.atRemote('ours.txt', 'trunk')).toBe('ours again\n')
    // A new main is another branch again.
    git(team.remote, 'branch', 'main', 'trunk')
    write(team.workspace, { 'ours.txt': 'third\n' })
    await sync.round()
    expect(team.atRemote('ours.txt', 'main')).toBe('third\n')
    expect(team.atRemote('ours.txt', 'trunk')).toBe('ours again\n')
  })

  it('clones the branch that the remote calls its default', async () => {
    team.withRemote()
    git(team.remote, 'branch', '--quiet', '-m', 'main', 'develop')
    git(team.remote, 'symbolic-ref', 'HEAD', 'refs/heads/develop')
    const sync = await team.start()
    expect(sync.branch()).toBe('develop')
    expect(team.agent('symbolic-ref', '--short', 'HEAD')).toBe('develop')
  })
})

describe('an empty remote', () => {
  it('gets its first commit from the workspace, but not before there is something in it', async () => {
    team.withEmptyRemote()
    const sync = await team.start()
    await sync.round()
    expect(team.branches()).toEqual([])
    expect(team.report.state).toBe('synced')
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.atRemote('ours.txt')).toBe('ours\n')
  })

  it('may be begun by somebody else', async () => {
    team.withEmptyRemote()
    const sync = await team.start()
    git(team.base, 'clone', '--quiet', team.remote, 'human')
    write(team.human, { 'theirs.txt': 'theirs\n' })
    const tip = team.commit('theirs')
    await sync.round()
    expect(team.read('theirs.txt')).toBe('theirs\n')
    expect(git(team.remote, 'rev-parse', 'main')).toBe(tip)
    expect(team.agent('rev-parse', 'HEAD')).toBe(tip)
  })

  it('may be begun by somebody else while agents have begun, too', async () => {
    team.withEmptyRemote()
    const sync = await team.start()
    write(team.workspace, { 'ours.txt': 'ours\n', 'README.md': 'ours\n' })
    git(team.base, 'clone', '--quiet', team.remote, 'human')
    write(team.human, { 'theirs.txt': 'theirs\n', 'README.md': 'theirs\n' })
    team.commit('theirs')
    await sync.round()
    expect(team.files()).toEqual(['README.md', 'ours.txt', 'theirs.txt'])
    expect(team.atRemote('README.md')).toBe('theirs\n')
    expect(team.rescues().map((name) => team.atRemote('README.md', name))).toEqual(['ours\n'])
  })
})

describe('it cannot be reached', () => {
  it('commits and says why it is not pushed, and pushes when it can be again', async () => {
    team.withRemote()
    const sync = await team.start()
    renameSync(team.remote, `${team.remote}.away`)
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.report.state).toBe('unpushed')
    expect(team.report.detail).toMatch(/does not appear to be a git repository|Could not read from remote/)
    expect(team.agent('show', 'HEAD:ours.txt')).toBe('ours')
    write(team.workspace, { 'more.txt': 'more\n' })
    await sync.round()
    renameSync(`${team.remote}.away`, team.remote)
    await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.atRemote('more.txt')).toBe('more\n')
    expect(git(team.remote, 'log', '--format=%s', 'main')).toBe('Update more.txt\nUpdate ours.txt\nfirst')
  })

  it('rejects when there is nothing to clone from, and can be tried again', async () => {
    team.withRemote()
    renameSync(team.remote, `${team.remote}.away`)
    const repository = { url: `file://${team.remote}`, gitEnvironment: async () => team.environment }
    const sync = team.create({ repository })
    await expect(sync.prepare()).rejects.toThrow(/repository/)
    expect(team.report.state).toBe('failed')
    renameSync(`${team.remote}.away`, team.remote)
    await sync.prepare()
    expect(team.read('README.md')).toBe('readme\n')
  })

  it('stays one state with its reason and the next try while it is tried again', async () => {
    team.withRemote()
    renameSync(team.remote, `${team.remote}.away`)
    const repository = { url: `file://${team.remote}`, gitEnvironment: async () => team.environment }
    const sync = team.create({ repository })
    for (let tries = 0; tries < 3; tries++) await expect(sync.prepare(60_000)).rejects.toThrow()
    const detail = `git ls-remote: '${team.remote}' does not appear to be a git repository. Next try within 60 s`
    expect(team.reports).toEqual([{ state: 'preparing' }, ...Array(3).fill({ state: 'failed', detail })])
    renameSync(`${team.remote}.away`, team.remote)
    await sync.prepare(60_000)
    expect(team.reports.slice(4).map(({ state, detail }) => ({ state, detail }))).toEqual([{ state: 'synced' }])
  })

  it('never tells a credential', async () => {
    team.withRemote()
    const seen: (string | undefined)[] = []
    server = createServer((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end('token ghp_verysecrettoken is bad')
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server?.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/team/repo.git`
    const sync = team.create({
      repository: {
        url,
        gitEnvironment: async () => ({
          GIT_ALLOW_PROTOCOL: 'http',
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: `http.${url}.extraHeader`,
          GIT_CONFIG_VALUE_0: 'Authorization: Basic Z2hwX3ZlcnlzZWNyZXR0b2tlbg==',
        }),
      },
    })
    await expect(sync.prepare()).rejects.toThrow()
    expect(seen[0]).toBe('Basic Z2hwX3ZlcnlzZWNyZXR0b2tlbg==')
    expect(team.report).toMatchObject({ state: 'failed' })
    const everything = JSON.stringify([team.reports, team.log])
    expect(everything).not.toContain('Z2hwX3ZlcnlzZWNyZXR0b2tlbg')
    expect(everything).not.toContain('GIT_CONFIG')
  })

  it('says what kept the address from being used', async () => {
    team.withRemote()
    let bad = false
    const gitEnvironment = async () => {
      if (bad) throw new Error('repo.example.com has a private address')
      return team.environment
    }
    const sync = await team.start({ repository: { url: `file://${team.remote}`, gitEnvironment } })
    bad = true
    await sync.round()
    expect(team.report).toMatchObject({
      state: 'unpushed',
      detail: 'The remote cannot be used: repo.example.com has a private address',
    })
  })
})

describe('it refuses a push', () => {
  it('keeps the work on one rescue branch until the branch takes it', async () => {
    team.withRemote()
    const sync = await team.start()
    const hook = path.join(team.remote, 'hooks/update')
    write(team.remote, {
      'hooks/update': '#!/bin/sh\nif [ "$1" = refs/heads/main ]; then echo "main is protected" >&2; exit 1; fi\n',
    })
    chmodSync(hook, 0o755)
    write(team.workspace, { 'ours.txt': 'one\n' })
    await sync.round()
    expect(team.report.state).toBe('unpushed')
    expect(team.report.detail).toBe('The remote does not take main: hook declined; main is protected')
    expect(team.report.rescued).toEqual(team.rescues())
    write(team.workspace, { 'ours.txt': 'two\n' })
    await sync.round()
    const [rescue = ''] = team.rescues()
    expect(team.rescues()).toHaveLength(1)
    expect(team.atRemote('ours.txt', rescue)).toBe('two\n')
    expect(team.report.rescued).toBeUndefined()
    // What others push comes in all the same.
    rmSync(hook)
    write(team.human, { 'theirs.txt': 'theirs\n' })
    team.commit('theirs')
    await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.atRemote('ours.txt')).toBe('two\n')
    expect(team.read('theirs.txt')).toBe('theirs\n')
    expect(team.rescues()).toHaveLength(1)
  })
})

describe('the end', () => {
  it('commits and pushes a last time, whatever the round before is waiting for', async () => {
    team.withRemote()
    let hang = false
    const waiting = Promise.withResolvers<void>()
    const sync = await team.start({
      repository: {
        url: `file://${team.remote}`,
        gitEnvironment: () => {
          if (!hang) return Promise.resolve(team.environment)
          hang = false
          waiting.resolve()
          return new Promise(() => {})
        },
      },
    })
    hang = true
    const round = sync.round()
    await waiting.promise
    write(team.workspace, { 'last.txt': 'last\n' })
    await sync.finish(new Date(Date.now() + 20_000))
    await round
    expect(team.atRemote('last.txt')).toBe('last\n')
    expect(team.report.state).toBe('synced')
    await expect(sync.round()).rejects.toThrow('Workspace sync has ended')
  })

  it('gives up on a remote that hangs at the deadline, with everything committed', async () => {
    team.withRemote()
    server = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => server?.once('listening', resolve))
    const port = (server.address() as AddressInfo).port
    const first = await team.start()
    await first.finish(new Date(Date.now() + 20_000))
    const sync = team.create({
      repository: {
        url: `file://${team.remote}`,
        // Everything goes to a server that takes connections and says nothing.
        gitEnvironment: async () => ({
          GIT_ALLOW_PROTOCOL: 'http',
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: `url.http://127.0.0.1:${port}/.insteadOf`,
          GIT_CONFIG_VALUE_0: 'file://',
        }),
      },
    })
    await sync.prepare()
    write(team.workspace, { 'last.txt': 'last\n' })
    const started = Date.now()
    await sync.finish(new Date(Date.now() + 8000))
    expect(Date.now() - started).toBeLessThan(12_000)
    expect(team.report.state).toBe('unpushed')
    expect(team.agent('show', 'HEAD:last.txt')).toBe('last')
  })
})
