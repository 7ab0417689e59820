/** What gets into commits, and how. */
import { chmodSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MAX_COMMITTED_BYTES } from '../../../../container-images/workspace-sync/src/git/limits.ts'
import { git, Team, write } from './support.ts'

let team: Team
beforeEach(() => {
  team = new Team()
})
afterEach(() => team.end())

/** Commits by plumbing, so that the human's own git converts nothing. */
function commitRaw(files: Readonly<Record<string, string>>, message: string): void {
  for (const [name, content] of Object.entries(files)) {
    write(team.base, { 'raw-content': content })
    const blob = git(team.human, 'hash-object', '-w', '--no-filters', path.join(team.base, 'raw-content'))
    git(team.human, 'update-index', '--add', '--cacheinfo', `100644,${blob},${name}`)
  }
  const commit = git(team.human, 'commit-tree', git(team.human, 'write-tree'), '-p', 'HEAD', '-m', message)
  git(team.human, 'update-ref', 'refs/heads/main', commit)
  git(team.human, 'push', '--quiet', 'origin', 'main')
}

describe('bytes', () => {
  it('go both ways as they are, whatever .gitattributes says', async () => {
    team.withRemote()
    const pointer =
      'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n'
    commitRaw(
      {
        '.gitattributes':
          '* text eol=crlf ident\n*.psd filter=lfs diff=lfs merge=lfs -text\n*.txt working-tree-encoding=UTF-16\n',
        'unix.sh': 'a\nb $Id$\n',
        'dos.bat': 'a\r\nb\r\n',
        'wide.txt': 'a\n',
        'image.psd': pointer,
      },
      'attributes',
    )
    const sync = await team.start()
    expect([team.read('unix.sh'), team.read('dos.bat'), team.read('wide.txt'), team.read('image.psd')]).toEqual([
      'a\nb $Id$\n',
      'a\r\nb\r\n',
      'a\n',
      pointer,
    ])
    write(team.workspace, { 'new.sh': 'a\r\nb $Id: x $\n', 'new.txt': 'ä\n', 'new.psd': Buffer.from([0, 13, 10, 255]) })
    commitRaw({ 'later.txt': 'later\n', 'later.bat': 'x\r\ny\n' }, 'later')
    await sync.round()
    expect(team.atRemote('new.sh')).toBe('a\r\nb $Id: x $\n')
    expect(team.atRemote('new.txt')).toBe('ä\n')
    expect(git(team.remote, 'cat-file', '-s', 'main:new.psd')).toBe('4')
    expect([team.read('later.txt'), team.read('later.bat')]).toEqual(['later\n', 'x\r\ny\n'])
    const commit = git(team.remote, 'rev-parse', 'main')
    await sync.round()
    expect(git(team.remote, 'rev-parse', 'main')).toBe(commit)
  })

  it('of files with any name, mode and of links', async () => {
    team.withRemote()
    const sync = await team.start()
    const names = [
      'line\nbreak',
      ' space ',
      '-rf',
      'é',
      'e\u0301',
      '日本',
      '"',
      "'",
      '\\',
      'a\tb',
      '..x',
      'x..',
      '*?[',
      ':(glob)x',
      'COM1',
      'x'.repeat(255),
    ]
    for (const name of names) write(team.workspace, { [name]: name })
    writeFileSync(Buffer.concat([Buffer.from(`${team.workspace}/`), Buffer.from([0xff, 0xfe])]), 'no UTF-8')
    write(team.workspace, { 'run.sh': 'x' })
    chmodSync(path.join(team.workspace, 'run.sh'), 0o755)
    for (const [name, target] of [
      ['dangling', 'nowhere'],
      ['outside', '/etc/passwd'],
      ['loop', 'loop'],
      ['up', '../../x'],
    ] as const)
      symlinkSync(target, path.join(team.workspace, name))
    await sync.round()
    for (const name of names) expect([name, team.atRemote(name)]).toEqual([name, name])
    expect(git(team.remote, 'ls-tree', '-z', 'main')).toContain('120000 blob')
    expect(team.atRemote('outside')).toBe('/etc/passwd')
    expect(git(team.remote, 'ls-tree', 'main', 'run.sh')).toMatch(/^100755/)
    expect(git(team.remote, 'ls-tree', 'main')).toContain('"\\377\\376"')
    expect(team.agent('status', '--porcelain')).toBe('')
    // And back: another workspace of the same remote gets the same.
    const other = new Team()
    await other.start({ repository: { url: `file://${team.remote}`, gitEnvironment: async () => team.environment } })
    for (const name of names) expect([name, other.read(name)]).toEqual([name, name])
    expect(statSync(path.join(other.workspace, 'run.sh')).mode & 0o777).toBe(0o755)
    other.end()
  })

  it('a file that becomes a directory, a link, and a file again', async () => {
    team.withRemote({ thing: 'file\n' })
    const sync = await team.start()
    const thing = path.join(team.workspace, 'thing')
    rmSync(thing)
    write(team.workspace, { 'thing/inner': 'inner\n' })
    await sync.round()
    expect(team.atRemote('thing/inner')).toBe('inner\n')
    rmSync(thing, { recursive: true })
    symlinkSync('elsewhere', thing)
    await sync.round()
    expect(team.atRemote('thing')).toBe('elsewhere')
    rmSync(thing)
    write(team.workspace, { thing: 'file again\n' })
    await sync.round()
    expect(team.atRemote('thing')).toBe('file again\n')
    // The same from the other side.
    git(team.human, 'pull', '--quiet')
    rmSync(path.join(team.human, 'thing'))
    write(team.human, { 'thing/inner': 'theirs\n' })
    team.commit('directory')
    await sync.round()
    expect(team.read('thing/inner')).toBe('theirs\n')
    rmSync(path.join(team.human, 'thing'), { recursive: true })
    symlinkSync('elsewhere', path.join(team.human, 'thing'))
    team.commit('link')
    await sync.round()
    expect(statSync(thing, { throwIfNoEntry: false })).toBeUndefined()
    expect(team.files()).toEqual(['thing'])
    expect(team.agent('status', '--porcelain')).toBe('')
  })
})

describe('what is left out', () => {
  it("is ignored files, by .gitignore or by the agents' own excludes; they stay", async () => {
    team.withRemote({ '.gitignore': 'secret.env\nbuild/\n' })
    const sync = await team.start()
    write(team.workspace, {
      'secret.env': 'KEY=1\n',
      'build/x.o': 'x',
      'local.notes': 'x',
      '.nfs00000000001a2b3c00000001': 'x',
      'sub/.gitignore': '*.tmp\n',
      'sub/a.tmp': 'x',
    })
    write(team.workspace, { '.git/info/exclude': 'local.notes\n' })
    await sync.round()
    expect(git(team.remote, 'ls-tree', '-r', '--name-only', 'main').split('\n')).toEqual([
      '.gitignore',
      'sub/.gitignore',
    ])
    expect(team.read('secret.env')).toBe('KEY=1\n')
  })

  it('an ignored file in the way of one from the remote stays, and is not published', async () => {
    team.withRemote({ '.gitignore': 'secret.env\n' })
    const sync = await team.start()
    write(team.workspace, { 'secret.env': 'mine\n' })
    write(team.human, { 'secret.env': 'theirs\n', 'other.txt': 'theirs\n' })
    git(team.human, 'add', '--force', 'secret.env')
    team.commit('by mistake')
    for (let i = 0; i < 3; i++) {
      await sync.round()
      write(team.workspace, { [`ours-${i}.txt`]: 'ours\n' })
    }
    await sync.round()
    expect(team.read('secret.env')).toBe('mine\n')
    expect(team.read('other.txt')).toBe('theirs\n')
    expect(team.atRemote('secret.env')).toBe('theirs\n')
    expect(team.atRemote('ours-2.txt')).toBe('ours\n')
    expect(git(team.remote, 'log', '--all', '-p', '--', 'secret.env')).not.toContain('mine')
    // When it makes room, the remote's comes in.
    rmSync(path.join(team.workspace, 'secret.env'))
    await sync.round()
    expect(team.read('secret.env')).toBe('theirs\n')
    await sync.round()
    expect(team.agent('status', '--porcelain')).toBe('')
  })

  it('repositories in the tree and huge files, which is told', async () => {
    team.withRemote({ 'grows.bin': 'small\n' })
    const sync = await team.start()
    mkdirSync(path.join(team.workspace, 'nested'))
    git(path.join(team.workspace, 'nested'), 'init', '--quiet')
    write(team.workspace, { 'nested/x.txt': 'x\n', 'small.txt': 'small\n' })
    for (const name of ['huge.bin', 'grows.bin']) {
      write(team.workspace, { [name]: 'x' })
      truncateSync(path.join(team.workspace, name), MAX_COMMITTED_BYTES + 1)
    }
    await sync.round()
    expect(team.atRemote('small.txt')).toBe('small\n')
    expect(team.atRemote('huge.bin')).toBeUndefined()
    expect(team.atRemote('grows.bin')).toBe('small\n')
    expect(team.report.skipped?.toSorted((a, b) => (a.path < b.path ? -1 : 1))).toEqual([
      { path: 'grows.bin', why: 'larger than 50 MB' },
      { path: 'huge.bin', why: 'larger than 50 MB' },
      { path: 'nested/', why: 'a git repository of its own' },
    ])
    expect(statSync(path.join(team.workspace, 'huge.bin')).size).toBe(MAX_COMMITTED_BYTES + 1)
    // What others do to it does not touch it.
    write(team.human, { 'grows.bin': 'theirs\n' })
    git(team.human, 'pull', '--quiet', '--no-rebase', '--no-edit')
    team.commit('theirs')
    await sync.round()
    expect(statSync(path.join(team.workspace, 'grows.bin')).size).toBe(MAX_COMMITTED_BYTES + 1)
    expect(team.atRemote('grows.bin')).toBe('theirs\n')
    expect(team.report.state).toBe('synced')
  })

  it('a commit of agents with a huge file, but not the work around it', async () => {
    team.withRemote()
    const sync = await team.start()
    write(team.workspace, { 'huge.bin': 'x', 'small.txt': 'small\n' })
    truncateSync(path.join(team.workspace, 'huge.bin'), MAX_COMMITTED_BYTES + 1)
    team.agent('add', '--all')
    team.agent('commit', '--quiet', '-m', 'huge')
    const commit = team.agent('rev-parse', 'HEAD')
    await sync.round()
    expect(team.atRemote('small.txt')).toBe('small\n')
    expect(team.atRemote('huge.bin')).toBeUndefined()
    expect(team.agent('rev-parse', 'HEAD')).toBe(commit)
    expect(team.report.skipped).toContainEqual({
      path: 'huge.bin',
      why: 'committed with more than 50 MB: the commit stays in the workspace',
    })
  })
})

describe('submodules', () => {
  let upstream: string
  beforeEach(() => {
    team.withRemote()
    upstream = path.join(team.base, 'upstream')
    git(team.base, 'init', '--quiet', 'upstream')
    write(upstream, { 'lib.txt': 'lib\n' })
    git(upstream, 'add', '--all')
    git(upstream, 'commit', '--quiet', '-m', 'lib')
    git(team.human, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', upstream, 'sub')
    team.commit('submodule')
  })
  const gitlink = (ref = 'main') => git(team.remote, 'ls-tree', ref, 'sub')

  it('stay what they are while agents work beside them', async () => {
    const sync = await team.start()
    const before = gitlink()
    write(team.workspace, { 'x.txt': 'x\n' })
    await sync.round()
    rmSync(path.join(team.workspace, 'sub'), { recursive: true })
    write(team.workspace, { 'x.txt': 'y\n' })
    await sync.round()
    expect(gitlink()).toBe(before)
    expect(team.atRemote('x.txt')).toBe('y\n')
  })

  it("move with an agent's own commit, and with the remote's", async () => {
    const sync = await team.start()
    team.agent('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'update', '--init')
    const sub = path.join(team.workspace, 'sub')
    write(sub, { 'lib.txt': 'changed\n' })
    git(sub, 'commit', '--quiet', '--all', '-m', 'changed')
    team.agent('add', 'sub')
    team.agent('commit', '--quiet', '-m', 'submodule moved')
    write(team.workspace, { 'x.txt': 'x\n' })
    await sync.round()
    expect(gitlink()).toContain(git(sub, 'rev-parse', 'HEAD'))
    expect(team.agent('status', '--porcelain')).toBe('')
    git(team.human, 'pull', '--quiet', '--no-recurse-submodules')
    git(team.human, 'update-index', '--cacheinfo', `160000,${'1'.repeat(40)},sub`)
    git(team.human, 'commit', '--quiet', '-m', 'moved by a human')
    git(team.human, 'push', '--quiet')
    await sync.round()
    write(team.workspace, { 'x.txt': 'y\n' })
    await sync.round()
    expect(gitlink()).toContain('1'.repeat(40))
    expect(git(sub, 'log', '-1', '--format=%s')).toBe('changed')
  })

  it('may be replaced by files, here and there', async () => {
    const sync = await team.start()
    write(team.workspace, { 'sub/plain.txt': 'plain\n' })
    await sync.round()
    expect(team.atRemote('sub/plain.txt')).toBe('plain\n')
    expect(gitlink()).toMatch(/^040000 tree/)
  })

  it('may be removed and added by others', async () => {
    const sync = await team.start()
    git(team.human, 'rm', '--quiet', '-r', '-f', 'sub')
    write(team.human, { sub: 'a file now\n' })
    team.commit('no submodule')
    await sync.round()
    expect(team.read('sub')).toBe('a file now\n')
    await sync.round()
    expect(team.agent('status', '--porcelain')).toBe('')
  })
})

describe('commits', () => {
  it('name those who worked, and what was changed', async () => {
    team.withRemote()
    const sync = await team.start()
    team.authors = [
      { name: 'Agent One', email: 'one@agents.covibes.invalid' },
      { name: 'Evil\nSigned-off-by: <x>', email: 'two@agents.covibes.invalid>\nX: y' },
    ]
    write(team.workspace, { 'one.txt': '1', 'two\n.txt': '2' })
    await sync.round()
    expect(git(team.remote, 'log', '-1', '--format=%an <%ae>%n%B', 'main').trimEnd().split('\n')).toEqual([
      'Covibes workspace sync <workspace-sync@covibes.invalid>',
      'Update one.txt and 1 more',
      '',
      'Co-authored-by: Agent One <one@agents.covibes.invalid>',
      'Co-authored-by: Evil Signed-off-by: x <two@agents.covibes.invalidX:y>',
    ])
    const first = team.authorsAsked.length
    await sync.round()
    expect(team.authorsAsked).toHaveLength(first)
    team.now = new Date('2025-01-31T13:00:00Z')
    write(team.workspace, { 'one.txt': '3' })
    await sync.round()
    expect(team.authorsAsked.at(-1)).toEqual(new Date('2025-01-31T12:00:00Z'))
  })

  it('are made without names when nobody says them', async () => {
    team.withRemote()
    const sync = await team.start({ authors: () => Promise.reject(new Error('no link')) })
    write(team.workspace, { 'one.txt': '1' })
    await sync.round()
    expect(git(team.remote, 'log', '-1', '--format=%B', 'main').trim()).toBe('Update one.txt')
  })
})

it('lets a renamed folder be a renamed folder', async () => {
  team.withRemote({ 'old/a.txt': 'a\n', 'old/b.txt': 'b\n' })
  const sync = await team.start()
  write(team.human, { 'old/c.txt': 'c\n' })
  team.commit('c')
  renameSync(path.join(team.workspace, 'old'), path.join(team.workspace, 'new'))
  await sync.round()
  expect(git(team.remote, 'ls-tree', '-r', '--name-only', 'main').split('\n')).toEqual([
    'new/a.txt',
    'new/b.txt',
    'old/c.txt',
  ])
  expect(team.rescues()).toEqual([])
})
