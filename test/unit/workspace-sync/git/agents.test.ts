/** Agents use git in the workspace, as people do. */
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorkspaceSync } from '../../../../container-images/workspace-sync/src/git/types.ts'
import { git, Team, write } from './support.ts'

let team: Team
let sync: WorkspaceSync
beforeEach(async () => {
  team = new Team().withRemote({ 'README.md': 'readme\n', 'a.txt': 'a\n' })
  sync = await team.start()
})
afterEach(() => team.end())

describe('commits', () => {
  it("pushes an agent's own commit as it is", async () => {
    write(team.workspace, { 'a.txt': 'changed\n' })
    team.agent('commit', '--quiet', '--all', '-m', 'by an agent')
    const commit = team.agent('rev-parse', 'HEAD')
    await sync.round()
    expect(git(team.remote, 'rev-parse', 'main')).toBe(commit)
  })

  it('adds to it what the agent has not committed', async () => {
    write(team.workspace, { 'a.txt': 'changed\n' })
    team.agent('commit', '--quiet', '--all', '-m', 'by an agent')
    write(team.workspace, { 'b.txt': 'not committed\n' })
    await sync.round()
    expect(git(team.remote, 'log', '--format=%s', '--first-parent', 'main^2')).toBe('by an agent\nfirst')
    expect(team.atRemote('b.txt')).toBe('not committed\n')
    expect(team.agent('status', '--porcelain')).toBe('')
  })

  it('brings a branch that the agent has left to the remote under its name', async () => {
    team.agent('switch', '--quiet', '-c', 'feature')
    write(team.workspace, { 'feature.txt': 'feature\n' })
    team.agent('add', '--all')
    team.agent('commit', '--quiet', '-m', 'feature')
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    expect(team.branches()).toEqual(['feature', 'main'])
    expect(team.atRemote('feature.txt', 'feature')).toBe('feature\n')
    expect(team.atRemote('feature.txt')).toBeUndefined()
  })

  it('merges such a branch with what others have pushed to it, or keeps it on a rescue branch', async () => {
    for (const name of ['merges', 'conflicts']) {
      git(team.human, 'switch', '--quiet', '-c', name, 'main')
      write(team.human, { [`theirs-${name}.txt`]: 'theirs\n', 'a.txt': name === 'conflicts' ? 'theirs\n' : 'a\n' })
      team.commit('theirs')
      team.agent('switch', '--quiet', '-c', name, 'main')
      write(team.workspace, { [`ours-${name}.txt`]: 'ours\n', 'a.txt': 'ours\n' })
      team.agent('add', '--all')
      team.agent('commit', '--quiet', '-m', 'ours')
    }
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    expect(team.atRemote('ours-merges.txt', 'merges')).toBe('ours\n')
    expect(team.atRemote('theirs-merges.txt', 'merges')).toBe('theirs\n')
    expect(team.atRemote('a.txt', 'conflicts')).toBe('theirs\n')
    expect(team.rescues().map((name) => team.atRemote('a.txt', name))).toEqual(['ours\n'])
    expect(team.read('a.txt')).toBe('a\n')
  })
})

describe('other branches', () => {
  it('puts the content of the working tree on the branch that is checked out, never on another', async () => {
    write(team.workspace, { 'on-main.txt': 'main\n' })
    await sync.round()
    team.agent('switch', '--quiet', '-c', 'feature')
    write(team.workspace, { 'feature.txt': 'feature\n' })
    await sync.round()
    expect(sync.branch()).toBe('feature')
    expect(team.atRemote('feature.txt', 'feature')).toBe('feature\n')
    expect(team.atRemote('feature.txt')).toBeUndefined()
    write(team.human, { 'theirs.txt': 'theirs\n' })
    git(team.human, 'pull', '--quiet', '--no-rebase')
    team.commit('theirs on main')
    await sync.round()
    expect(team.read('theirs.txt')).toBeUndefined()
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    expect(team.files()).toEqual(['README.md', 'a.txt', 'on-main.txt', 'theirs.txt'])
    expect(team.atRemote('feature.txt')).toBeUndefined()
  })

  it('keeps what was not pushed of a branch that was left while the remote was away', async () => {
    const away = `${team.remote}.away`
    execFileSync('mv', [team.remote, away])
    write(team.workspace, { 'on-main.txt': 'main\n' })
    await sync.round()
    expect(team.report.state).toBe('unpushed')
    team.agent('switch', '--quiet', '-c', 'feature', 'HEAD^')
    write(team.workspace, { 'feature.txt': 'feature\n' })
    await sync.round()
    execFileSync('mv', [away, team.remote])
    await sync.round()
    expect(team.atRemote('on-main.txt', 'main')).toBe('main\n')
    expect(team.atRemote('feature.txt', 'feature')).toBe('feature\n')
    expect(team.atRemote('on-main.txt', 'feature')).toBeUndefined()
  })

  it('keeps a detached working tree on one rescue branch as long as it is detached', async () => {
    team.agent('switch', '--quiet', '--detach')
    await sync.round()
    // Only looking at an old commit makes no branch.
    expect(team.branches()).toEqual(['main'])
    write(team.workspace, { 'detached.txt': 'one\n' })
    await sync.round()
    const [rescue = ''] = team.rescues()
    write(team.workspace, { 'detached.txt': 'two\n' })
    team.agent('add', '--all')
    team.agent('commit', '--quiet', '-m', 'detached')
    await sync.round()
    expect(team.rescues()).toEqual([rescue])
    expect(team.atRemote('detached.txt', rescue)).toBe('two\n')
    expect(team.atRemote('detached.txt')).toBeUndefined()
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    expect(sync.branch()).toBe('main')
    expect(team.atRemote('detached.txt')).toBeUndefined()
  })

  it('keeps a commit that was made on no branch and left again', async () => {
    team.agent('switch', '--quiet', '--detach')
    write(team.workspace, { 'detached.txt': 'one\n' })
    team.agent('add', '--all')
    team.agent('commit', '--quiet', '-m', 'left behind')
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    expect(team.rescues().map((name) => team.atRemote('detached.txt', name))).toEqual(['one\n'])
    await sync.round()
    expect(team.rescues()).toHaveLength(1)
  })

  it.each(['covibes/rescue/mine', 'HEAD'])('does not push to a branch called %s', async (name) => {
    writeFileSync(path.join(team.workspace, '.git/HEAD'), `ref: refs/heads/${name}\n`)
    team.agent('update-ref', `refs/heads/${name}`, 'main')
    write(team.workspace, { 'x.txt': 'x\n' })
    await sync.round()
    expect(team.atRemote('x.txt', name)).toBeUndefined()
    expect(team.atRemote('x.txt')).toBeUndefined()
    expect(team.rescues().map((rescue) => team.atRemote('x.txt', rescue))).toEqual(['x\n'])
  })

  it.each(['constructor', '__proto__', 'toString', 'a/b/c', 'ünï-cödé', 'x@y', '0'])(
    'may be called %s',
    async (name) => {
      for (const text of ['one\n', 'two\n']) {
        team.agent('switch', '--quiet', ...(text === 'one\n' ? ['-c'] : []), name)
        write(team.workspace, { 'x.txt': text })
        await sync.round()
        expect(team.atRemote('x.txt', `refs/heads/${name}`)).toBe(text)
        team.agent('switch', '--quiet', 'main')
        await sync.round()
        expect(team.report.state).toBe('synced')
      }
      expect(team.rescues()).toEqual([])
    },
  )

  it('goes to a rescue branch when its name cannot stand beside one of the remote', async () => {
    git(team.remote, 'branch', 'feature/one', 'main')
    team.agent('switch', '--quiet', '-c', 'feature')
    write(team.workspace, { 'x.txt': 'x\n' })
    await sync.round()
    expect(team.report).toMatchObject({
      state: 'unpushed',
      detail: 'The remote does not take feature: it has a branch feature/one',
    })
    expect(team.rescues().map((name) => team.atRemote('x.txt', name))).toEqual(['x\n'])
    write(team.workspace, { 'x.txt': 'y\n' })
    await sync.round()
    expect(team.rescues().map((name) => team.atRemote('x.txt', name))).toEqual(['y\n'])
    git(team.remote, 'branch', '-D', 'feature/one')
    await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.atRemote('x.txt', 'feature')).toBe('y\n')
  })

  it('begins an orphan branch without the history of the others', async () => {
    team.agent('switch', '--quiet', '--orphan', 'pages')
    write(team.workspace, { 'index.html': 'page\n' })
    await sync.round()
    expect(team.atRemote('index.html', 'pages')).toBe('page\n')
    expect(team.atRemote('index.html')).toBeUndefined()
    expect(() => git(team.remote, 'merge-base', 'pages', 'main')).toThrow()
  })

  it('stays on its branch when an agent makes a repository anew', async () => {
    rmSync(path.join(team.workspace, '.git'), { recursive: true })
    team.agent('init', '--quiet', '--initial-branch=master')
    write(team.workspace, { 'x.txt': 'x\n' })
    await sync.round()
    expect(team.branches()).toEqual(['main'])
    expect(team.atRemote('x.txt')).toBe('x\n')
  })

  it('goes on without a repository of agents', async () => {
    rmSync(path.join(team.workspace, '.git'), { recursive: true })
    write(team.workspace, { 'x.txt': 'x\n' })
    write(team.human, { 'theirs.txt': 'theirs\n' })
    team.commit('theirs')
    await sync.round()
    expect(team.atRemote('x.txt')).toBe('x\n')
    expect(team.read('theirs.txt')).toBe('theirs\n')
  })

  it('does not take back what came from others when an agent checks out its older branch again', async () => {
    // The agents' branch stays behind while something is staged.
    write(team.workspace, { 'staged.txt': 'staged\n' })
    team.agent('add', 'staged.txt')
    write(team.human, { 'a.txt': 'theirs\n' })
    team.commit('theirs')
    await sync.round()
    expect(team.read('a.txt')).toBe('theirs\n')
    expect(team.agent('log', '-1', '--format=%s')).toBe('first')
    team.agent('reset', '--quiet', '--hard')
    team.agent('switch', '--quiet', '-c', 'other')
    team.agent('switch', '--quiet', 'main')
    expect(team.read('a.txt')).toBe('a\n')
    await sync.round()
    expect(team.atRemote('a.txt')).toBe('theirs\n')
    expect(team.read('a.txt')).toBe('theirs\n')
  })
})

describe('what others have pushed', () => {
  it('can be seen and checked out by agents, who have no credential', async () => {
    git(team.human, 'switch', '--quiet', '-c', 'theirs')
    write(team.human, { 'theirs.txt': 'theirs\n' })
    team.commit('theirs')
    await sync.round()
    expect(team.agent('branch', '--remotes', '--format=%(refname:short)').split('\n')).toEqual([
      'origin/main',
      'origin/theirs',
    ])
    expect(team.agent('status', '--branch', '--porcelain')).toBe('## main...origin/main')
    team.agent('switch', '--quiet', 'theirs')
    expect(team.read('theirs.txt')).toBe('theirs\n')
    await sync.round()
    git(team.human, 'push', '--quiet', 'origin', ':theirs')
    team.agent('switch', '--quiet', 'main')
    await sync.round()
    await sync.round()
    expect(team.agent('branch', '--remotes', '--format=%(refname:short)')).toBe('origin/main')
    expect(team.agent('fsck', '--no-dangling', '--no-progress')).toBe('')
  })

  it('comes with all its objects, also into a repository that agents have made anew', async () => {
    rmSync(path.join(team.workspace, '.git'), { recursive: true })
    team.agent('init', '--quiet', '--initial-branch=main')
    write(team.human, { 'theirs.txt': 'theirs\n' })
    team.commit('theirs')
    await sync.round()
    expect(team.agent('log', '--format=%s', 'origin/main')).toContain('theirs\nfirst')
    expect(team.agent('fsck', '--no-dangling', '--no-progress')).toBe('')
  })
})

describe('the index', () => {
  it('leaves what is staged to the agent that is about to commit it', async () => {
    write(team.workspace, { 'a.txt': 'staged\n' })
    team.agent('add', 'a.txt')
    write(team.workspace, { 'a.txt': 'staged, then changed\n' })
    await sync.round()
    expect(team.atRemote('a.txt')).toBe('staged, then changed\n')
    expect(team.agent('diff', '--cached', '--name-only')).toBe('a.txt')
    team.agent('commit', '--quiet', '-m', 'by an agent')
    await sync.round()
    expect(git(team.remote, 'log', '--format=%s', 'main')).toContain('by an agent')
    expect(git(team.remote, 'show', 'main^2:a.txt')).toBe('staged')
    expect(team.atRemote('a.txt')).toBe('staged, then changed\n')
    expect(team.agent('status', '--porcelain')).toBe('')
  })

  it('replaces it after long, when nothing is lost with it', async () => {
    write(team.workspace, { 'a.txt': 'staged\n' })
    team.agent('add', 'a.txt')
    team.now = new Date(Date.now() + 60_000)
    await sync.round()
    expect(team.agent('diff', '--cached', '--name-only')).toBe('a.txt')
    team.now = new Date(Date.now() + 20 * 60_000)
    await sync.round()
    expect(team.agent('status', '--porcelain')).toBe('')
  })

  it('leaves it for ever when it alone has a content', async () => {
    write(team.workspace, { 'a.txt': 'only staged\n' })
    team.agent('add', 'a.txt')
    write(team.workspace, { 'a.txt': 'changed\n' })
    team.now = new Date(Date.now() + 20 * 60_000)
    await sync.round()
    expect(team.agent('show', ':a.txt')).toBe('only staged')
  })

  it('stops committing what an agent has taken out of git and ignores', async () => {
    write(team.workspace, { 'node_modules/x.js': 'x\n' })
    await sync.round()
    expect(team.atRemote('node_modules/x.js')).toBe('x\n')
    write(team.workspace, { '.gitignore': 'node_modules\n' })
    team.agent('rm', '-r', '--quiet', '--cached', 'node_modules')
    team.agent('add', '.gitignore')
    team.agent('commit', '--quiet', '-m', 'ignore')
    await sync.round()
    expect(team.atRemote('node_modules/x.js')).toBeUndefined()
    expect(team.read('node_modules/x.js')).toBe('x\n')
    await sync.round()
    expect(team.atRemote('node_modules/x.js')).toBeUndefined()
  })
})

describe('another git at work', () => {
  it('waits for a lock of agents, but not for one that was left behind', async () => {
    const lock = path.join(team.workspace, '.git/index.lock')
    writeFileSync(lock, '')
    team.now = new Date()
    write(team.workspace, { 'x.txt': 'x\n' })
    const reports = team.reports.length
    await sync.round()
    expect(team.atRemote('x.txt')).toBeUndefined()
    expect(team.reports).toHaveLength(reports)
    const old = (Date.now() - 5 * 60_000) / 1000
    utimesSync(lock, old, old)
    await sync.round()
    expect(team.atRemote('x.txt')).toBe('x\n')
    // It is the agents' own to remove.
    expect(existsSync(lock)).toBe(true)
  })

  it('does not wait at the end', async () => {
    writeFileSync(path.join(team.workspace, '.git/index.lock'), '')
    team.now = new Date()
    write(team.workspace, { 'x.txt': 'x\n' })
    await sync.finish(new Date(Date.now() + 20_000))
    expect(team.atRemote('x.txt')).toBe('x\n')
  })

  it('leaves the repository alone during a merge of an agent', async () => {
    write(team.workspace, { 'a.txt': 'one\n' })
    team.agent('commit', '--quiet', '--all', '-m', 'one')
    team.agent('switch', '--quiet', '-c', 'other', 'HEAD^')
    write(team.workspace, { 'a.txt': 'two\n' })
    team.agent('commit', '--quiet', '--all', '-m', 'two')
    expect(() => team.agent('merge', 'main')).toThrow()
    await sync.round()
    expect(existsSync(path.join(team.workspace, '.git/MERGE_HEAD'))).toBe(true)
    write(team.workspace, { 'a.txt': 'merged\n' })
    team.agent('commit', '--quiet', '--all', '-m', 'merged')
    await sync.round()
    expect(team.atRemote('a.txt', 'other')).toBe('merged\n')
    expect(team.atRemote('a.txt', 'main')).toBe('one\n')
  })
})
