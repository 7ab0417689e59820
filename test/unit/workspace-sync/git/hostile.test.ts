/** An agent plants whatever git may run, follow or read: nothing runs, nothing is written outside, nothing from outside gets into a commit. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorkspaceSync } from '../../../../container-images/workspace-sync/src/git/types.ts'
import { git, Team, write } from './support.ts'

let team: Team
let sync: WorkspaceSync
let canary: string
let command: string
/** Another team's files on the same file system. */
let other: string
beforeEach(async () => {
  team = new Team().withRemote({ 'README.md': 'readme\n', 'folder/inner.txt': 'inner\n' })
  canary = path.join(team.base, 'canary')
  command = path.join(team.base, 'planted')
  writeFileSync(command, `#!/bin/sh\necho ran >> '${canary}'\ncat 2>/dev/null\nexit 0\n`)
  chmodSync(command, 0o755)
  other = path.join(team.base, 'other')
  write(other, { 'secret.txt': 'secret of another team\n', 'inner.txt': 'secret of another team\n' })
  sync = await team.start()
})
afterEach(() => team.end())

const everythingAtRemote = () =>
  execFileSync('sh', ['-c', 'git rev-list --objects --all | cut -c1-40 | git cat-file --batch'], {
    cwd: team.remote,
    maxBuffer: 64 * 1024 * 1024,
  }).toString('latin1')

/** Rounds in which both sides have something to say. */
async function rounds(n = 2) {
  for (let i = 0; i < n; i++) {
    write(team.human, { [`theirs-${i}.txt`]: `theirs ${i}\n`, 'README.md': `theirs ${i}\n` })
    git(team.human, 'fetch', '--quiet', '--no-recurse-submodules')
    git(team.human, 'merge', '--quiet', '--no-edit', '-X', 'ours', 'origin/main')
    team.commit(`theirs ${i}`)
    if (existsSync(path.join(team.workspace, 'folder')) && lstatSync(path.join(team.workspace, 'folder')).isDirectory())
      write(team.workspace, { [`folder/ours-${i}.txt`]: `ours ${i}\n` })
    await sync.round()
  }
}

const outsideIsUntouched = () => {
  expect(existsSync(canary)).toBe(false)
  expect(readdirSync(other).sort()).toEqual(['inner.txt', 'secret.txt'])
  for (const name of readdirSync(other))
    expect(readFileSync(path.join(other, name), 'utf8')).toBe('secret of another team\n')
  expect(everythingAtRemote()).not.toContain('secret of another team')
}

describe('configuration that runs commands', () => {
  const HOOKS =
    'applypatch-msg commit-msg fsmonitor-watchman post-applypatch post-checkout post-commit post-index-change post-merge post-receive post-rewrite post-update pre-applypatch pre-auto-gc pre-commit pre-merge-commit pre-push pre-rebase pre-receive prepare-commit-msg proc-receive push-to-checkout reference-transaction sendemail-validate update'

  const configuration = () => `
[core]
	fsmonitor = ${command}
	sshCommand = ${command}
	hooksPath = ${path.join(team.workspace, '.git/hooks')}
	pager = ${command}
	editor = ${command}
	askPass = ${command}
	gitProxy = ${command}
	alternateRefsCommand = ${command}
	attributesFile = ${path.join(team.workspace, 'attributes')}
[credential]
	helper = ${command}
[credential "file://"]
	helper = !${command}
[url "ext::${command} "]
	insteadOf = file://
	pushInsteadOf = file://
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[uploadpack]
	packObjectsHook = ${command}
[receive]
	procReceiveRefs = refs
[diff]
	external = ${command}
[diff "planted"]
	textconv = ${command}
	command = ${command}
[filter "planted"]
	clean = ${command}
	smudge = ${command}
	process = ${command}
	required = true
[merge "planted"]
	driver = ${command} %A
[gpg]
	program = ${command}
[commit]
	gpgSign = true
[gc]
	auto = 1
[maintenance]
	auto = true
[remote "origin"]
	uploadpack = ${command}
	receivepack = ${command}
	promisor = true
	vcs = planted
	url = ext::${command}
[submodule]
	recurse = true
[submodule "sub"]
	url = ext::${command}
	update = !${command}
	active = true
[trace2]
	eventTarget = ${canary}
	normalTarget = ${canary}
[include]
	path = ${path.join(other, 'secret.txt')}
[interactive]
	diffFilter = ${command}
[sequence]
	editor = ${command}
[extensions]
	partialClone = origin
[core]
	repositoryFormatVersion = 1
`

  it('runs none of it, wherever it stands', async () => {
    for (const hook of HOOKS.split(' ')) {
      mkdirSync(path.join(team.workspace, '.git/hooks'), { recursive: true })
      cpSync(command, path.join(team.workspace, '.git/hooks', hook))
    }
    const text = configuration()
    const withoutInclude = text.replace(/\[include\]\n.*\n/, '')
    writeFileSync(path.join(team.workspace, '.git/config'), withoutInclude)
    writeFileSync(path.join(team.workspace, '.git/config.worktree'), withoutInclude)
    write(team.workspace, {
      '.gitattributes': '* filter=planted diff=planted merge=planted text eol=crlf ident\n',
      attributes: '* filter=planted diff=planted merge=planted\n',
      '.gitmodules': `[submodule "sub"]\n\tpath = sub\n\turl = ext::${command}\n\tupdate = !${command}\n`,
      '.gitconfig': text,
      '.lfsconfig': `[lfs]\n\turl = ext::${command}\n`,
      // A bare repository lying in the working tree.
      'bare.git/HEAD': 'ref: refs/heads/main\n',
      'bare.git/config': text,
      'bare.git/objects/info/packs': '',
      'bare.git/refs/heads/main': `${'0'.repeat(40)}\n`,
    })
    mkdirSync(path.join(team.workspace, 'nested'))
    git(path.join(team.workspace, 'nested'), 'init', '--quiet')
    appendFileSync(path.join(team.workspace, 'nested/.git/config'), text)
    write(team.workspace, { 'nested/file.txt': 'nested\n' })
    await rounds()
    // The agents' own work went through all the same.
    expect(team.atRemote('folder/ours-1.txt')).toBe('ours 1\n')
    expect(team.atRemote('.gitattributes')).toContain('filter=planted')
    expect(team.report.state).toBe('synced')
    expect(team.report.skipped).toContainEqual({ path: 'nested/', why: 'a git repository of its own' })
    outsideIsUntouched()
    // And commits are still imported, for upload-pack obeys none of it.
    writeFileSync(path.join(team.workspace, '.git/config'), '')
    team.agent('-c', 'core.hooksPath=/dev/null', 'commit', '--quiet', '--allow-empty', '-m', 'by an agent')
    writeFileSync(path.join(team.workspace, '.git/config'), withoutInclude)
    await rounds(1)
    expect(git(team.remote, 'log', '--format=%s', 'main')).toContain('by an agent')
    outsideIsUntouched()
    // It would have run for somebody less careful.
    try {
      team.agent('status')
    } catch {
      // What it ran gave no sensible answer.
    }
    expect(existsSync(canary)).toBe(true)
  })

  it('includes no file of somebody else in what it says', async () => {
    writeFileSync(path.join(team.workspace, '.git/config'), configuration())
    await rounds()
    expect(JSON.stringify([team.reports, team.log])).not.toContain('secret of another team')
    expect(team.atRemote('folder/ours-1.txt')).toBe('ours 1\n')
    outsideIsUntouched()
  })

  it('does not look into a submodule that an agent has made hostile', async () => {
    const upstream = path.join(team.base, 'upstream')
    git(team.base, 'init', '--quiet', 'upstream')
    write(upstream, { 'lib.txt': 'lib\n' })
    git(upstream, 'add', '--all')
    git(upstream, 'commit', '--quiet', '-m', 'lib')
    git(team.human, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', upstream, 'sub')
    team.commit('submodule')
    await sync.round()
    expect(lstatSync(path.join(team.workspace, 'sub')).isDirectory()).toBe(true)
    team.agent('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'update', '--init')
    appendFileSync(
      path.join(team.workspace, '.git/modules/sub/config'),
      `[core]\n\tfsmonitor = ${command}\n\thooksPath = ${team.base}\n`,
    )
    write(team.workspace, { 'sub/lib.txt': 'changed by an agent\n' })
    await rounds()
    outsideIsUntouched()
    expect(git(team.remote, 'ls-tree', 'main', 'sub')).toMatch(/^160000 commit/)
  })
})

describe('things that are not what they seem', () => {
  const plants: Record<string, (workspace: string) => void> = {
    '.git is a link to another repository': (workspace) => {
      renameSync(path.join(workspace, '.git'), path.join(team.base, 'moved.git'))
      symlinkSync(path.join(team.sync, 'repository.git'), path.join(workspace, '.git'))
    },
    '.git is a file that points to another repository': (workspace) => {
      rmSync(path.join(workspace, '.git'), { recursive: true })
      writeFileSync(path.join(workspace, '.git'), `gitdir: ${path.join(team.sync, 'repository.git')}\n`)
    },
    'HEAD is a link to a secret': (workspace) => {
      unlinkSync(path.join(workspace, '.git/HEAD'))
      symlinkSync(path.join(other, 'secret.txt'), path.join(workspace, '.git/HEAD'))
    },
    'a branch is a link to a secret': (workspace) => {
      unlinkSync(path.join(workspace, '.git/refs/heads/main'))
      symlinkSync(path.join(other, 'secret.txt'), path.join(workspace, '.git/refs/heads/main'))
    },
    'the folder of branches is a link': (workspace) => {
      rmSync(path.join(workspace, '.git/refs/heads'), { recursive: true })
      symlinkSync(other, path.join(workspace, '.git/refs/heads'))
    },
    'the folder of packs is a link': (workspace) => {
      renameSync(path.join(workspace, '.git/objects/pack'), path.join(workspace, '.git/pack.moved'))
      symlinkSync(other, path.join(workspace, '.git/objects/pack'))
    },
    'the folder of objects is a link': (workspace) => {
      rmSync(path.join(workspace, '.git/objects'), { recursive: true })
      symlinkSync(other, path.join(workspace, '.git/objects'))
    },
    'the index is a link': (workspace) => {
      unlinkSync(path.join(workspace, '.git/index'))
      symlinkSync(path.join(other, 'secret.txt'), path.join(workspace, '.git/index'))
    },
    'the log of HEAD is a FIFO': (workspace) => {
      rmSync(path.join(workspace, '.git/logs'), { recursive: true, force: true })
      mkdirSync(path.join(workspace, '.git/logs'))
      execFileSync('mkfifo', [path.join(workspace, '.git/logs/HEAD')])
    },
    'HEAD is a FIFO': (workspace) => {
      unlinkSync(path.join(workspace, '.git/HEAD'))
      execFileSync('mkfifo', [path.join(workspace, '.git/HEAD')])
    },
    'the excludes are a link': (workspace) => {
      mkdirSync(path.join(workspace, '.git/info'), { recursive: true })
      rmSync(path.join(workspace, '.git/info/exclude'), { force: true })
      symlinkSync(path.join(other, 'secret.txt'), path.join(workspace, '.git/info/exclude'))
    },
    'objects come from elsewhere': (workspace) => {
      write(workspace, { '.git/objects/info/alternates': `${path.join(team.sync, 'repository.git/objects')}\n` })
    },
    'the repository lies elsewhere': (workspace) => {
      write(workspace, { '.git/commondir': `${path.join(team.sync, 'repository.git')}\n` })
    },
    'a folder is a link to another team': (workspace) => {
      rmSync(path.join(workspace, 'folder'), { recursive: true })
      symlinkSync(other, path.join(workspace, 'folder'))
    },
    'a file is a link to a secret': (workspace) => {
      unlinkSync(path.join(workspace, 'README.md'))
      symlinkSync(path.join(other, 'secret.txt'), path.join(workspace, 'README.md'))
    },
    '.gitignore is a link': (workspace) => {
      symlinkSync(path.join(other, 'secret.txt'), path.join(workspace, '.gitignore'))
    },
    'files are FIFOs, devices and sockets': (workspace) => {
      execFileSync('mkfifo', [path.join(workspace, 'fifo')])
      unlinkSync(path.join(workspace, 'README.md'))
      execFileSync('mkfifo', [path.join(workspace, 'README.md')])
    },
    'names are made to be misread': (workspace) => {
      write(workspace, {
        '-rf': 'x',
        '--exec=touch canary': 'x',
        'a\nb\n100644 x': 'x',
        '\u202e.git': 'x',
        '.GIT/config': 'x',
        'git~1/config': 'x',
        '.git\u200c/config': 'x',
        '"quoted"': 'x',
        ':(top)': 'x',
        '*': 'x',
        '\\x': 'x',
        'folder/.git /hooks/pre-commit': 'x',
      })
    },
  }

  it.each(Object.keys(plants))('%s', async (name) => {
    plants[name]?.(team.workspace)
    await rounds()
    outsideIsUntouched()
    expect(team.report.state).toBe('synced')
    // The rest of the workspace is synced as ever.
    if (!name.includes('folder is a link to another')) expect(team.atRemote('folder/ours-1.txt')).toBe('ours 1\n')
    expect(team.read('theirs-1.txt')).toBe('theirs 1\n')
    // Sync's own repository is as it was.
    expect(git(path.join(team.sync, 'repository.git'), 'fsck', '--no-dangling', '--no-progress')).toBe('')
  })

  it('makes the workspace anew when an agent has put a link in its place', async () => {
    renameSync(team.workspace, `${team.workspace}.mine`)
    symlinkSync(other, team.workspace)
    await sync.round()
    expect(lstatSync(team.workspace).isDirectory()).toBe(true)
    expect(team.read('README.md')).toBe('readme\n')
    expect(
      readdirSync(path.dirname(team.workspace)).filter((name) => name.startsWith('workspace-before-')),
    ).toHaveLength(1)
    await rounds()
    outsideIsUntouched()
  })

  it('refuses a commit of agents that no git should check out', async () => {
    const blob = team.agent('hash-object', '-w', 'README.md')
    const hooks = execFileSync('git', ['mktree'], { cwd: team.workspace, input: `100755 blob ${blob}\tpre-commit\n` })
      .toString()
      .trim()
    const dotGit = execFileSync('git', ['mktree'], { cwd: team.workspace, input: `040000 tree ${hooks}\thooks\n` })
      .toString()
      .trim()
    const tree = execFileSync('git', ['mktree'], { cwd: team.workspace, input: `040000 tree ${dotGit}\t.git\n` })
      .toString()
      .trim()
    const commit = team.agent('commit-tree', tree, '-p', 'HEAD', '-m', 'hostile')
    team.agent('update-ref', 'refs/heads/main', commit)
    await rounds()
    expect(team.report.detail).toContain("The workspace's own git repository could not be read")
    expect(git(team.remote, 'log', '--all', '--format=%s')).not.toContain('hostile')
    expect(team.atRemote('folder/ours-1.txt')).toBe('ours 1\n')
    outsideIsUntouched()
  })

  it('does not write .git from a commit of the remote', async () => {
    const blob = git(team.human, 'hash-object', '-w', 'README.md')
    const mktree = (input: string) => execFileSync('git', ['mktree'], { cwd: team.human, input }).toString().trim()
    const tree = mktree(`040000 tree ${mktree(`100755 blob ${blob}\tpre-commit\n`)}\t.GIT\n`)
    const commit = git(team.human, 'commit-tree', tree, '-p', 'HEAD', '-m', 'hostile')
    git(team.human, 'push', '--quiet', 'origin', `${commit}:refs/heads/main`)
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(existsSync(path.join(team.workspace, '.GIT'))).toBe(false)
    expect(team.read('ours.txt')).toBe('ours\n')
    outsideIsUntouched()
  })

  it('publishes nothing from outside while folders are swapped for links', { timeout: 60_000 }, async () => {
    const done = new SharedArrayBuffer(4)
    const swapper = new Worker(
      `const { renameSync, symlinkSync, unlinkSync, writeFileSync } = require('node:fs')
       const { workerData: { folder, other, done } } = require('node:worker_threads')
       const flag = new Int32Array(done)
       let i = 0
       while (Atomics.load(flag, 0) === 0) {
         try { writeFileSync(folder + '/inner.txt', 'inner ' + i++ + '\\n'); writeFileSync(folder + '/secret.txt', 'mine ' + i + '\\n') } catch {}
         try { renameSync(folder, folder + '.real'); symlinkSync(other, folder) } catch {}
         Atomics.wait(flag, 0, 0, 1)
         try { unlinkSync(folder); renameSync(folder + '.real', folder) } catch {}
       }`,
      { eval: true, workerData: { folder: path.join(team.workspace, 'folder'), other, done } },
    )
    const ended = new Promise((resolve, reject) => swapper.once('exit', resolve).once('error', reject))
    try {
      for (let i = 0; i < 15; i++) {
        if (i % 3 === 0) {
          git(team.human, 'fetch', '--quiet', '--no-recurse-submodules')
          git(team.human, 'merge', '--quiet', '--no-edit', '-s', 'ours', 'origin/main')
          write(team.human, { 'folder/inner.txt': `theirs ${i}\n`, 'folder/secret.txt': `theirs ${i}\n` })
          team.commit(`theirs ${i}`)
        }
        await sync.round()
      }
    } finally {
      Atomics.store(new Int32Array(done), 0, 1)
      await ended
    }
    outsideIsUntouched()
  })
})
