/**
 * Two teams on one file system, one of them hostile: whatever an agent can put into the files that it may write, workspace sync
 * runs nothing of it and carries nothing of the other team. What agents may mount at all is held by the file system's policy
 * and by their container; the latter is tried with the images in a real engine.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { TEAM_FILES } from '../../shared/contracts/link.ts'
import { type Product, startProduct, type TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import {
  environmentOf,
  environmentThat,
  SOON,
  storeCredentials,
  teamDirectory,
  withWorkspace,
  workspaceOf,
} from '../support/workspaces.ts'

const TOKEN = 'token-of-the-hostile-team'
const SECRET = 'what only the other team may read'
/** Hooks that git runs for any of what sync does (githooks(5)). */
const HOOKS = [
  'applypatch-msg',
  'commit-msg',
  'fsmonitor-watchman',
  'post-checkout',
  'post-commit',
  'post-index-change',
  'post-merge',
  'post-receive',
  'post-rewrite',
  'post-update',
  'pre-auto-gc',
  'pre-commit',
  'pre-merge-commit',
  'pre-push',
  'pre-rebase',
  'pre-receive',
  'prepare-commit-msg',
  'proc-receive',
  'reference-transaction',
  'update',
]

let product: Product
let marks: string
let own: Repository
let others: Repository
let hostile: TestMember
let victim: TestMember
let workspace: string

beforeAll(async () => {
  product = await startProduct()
  marks = mkdtempSync(join(tmpdir(), 'covibes-marks-'))
  own = await Repository.start({ 'README.md': '# Hostile\n' }, `x-access-token:${TOKEN}`)
  others = await Repository.start({ 'secret.txt': `${SECRET}\n` })
  hostile = await product.member()
  victim = await product.member()
  await storeCredentials(product, hostile.teamId, JSON.stringify({ kind: 'token', token: TOKEN }))
  await withWorkspace(victim, others.url)
  await withWorkspace(hostile, own.url)
  workspace = workspaceOf(product, hostile.teamId)
})
afterAll(async () => {
  await product.close()
  await own.close()
  await others.close()
  rmSync(marks, { recursive: true, force: true })
})

/** A program that leaves a mark when anybody runs it. */
function trap(name: string): string {
  const path = join(marks, 'traps', name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `#!/bin/sh\ntouch '${join(marks, `${name}.ran`)}'\ncat\n`)
  chmodSync(path, 0o755)
  return path
}
const configuration = (): string => `
[core]
	fsmonitor = ${trap('fsmonitor')}
	sshCommand = ${trap('ssh-command')}
	hooksPath = ${join(marks, 'hooks')}
	editor = ${trap('editor')}
	pager = ${trap('pager')}
	askPass = ${trap('askpass')}
	gitProxy = ${trap('git-proxy')}
	alternateRefsCommand = ${trap('alternate-refs')}
[credential]
	helper = !${trap('credential-helper')}
[include]
	path = ${join(marks, 'included')}
[url "ext::sh -c ${trap('instead-of')}"]
	insteadOf = http://
	pushInsteadOf = http://
[http]
	proxy = http://127.0.0.1:1
[filter "evil"]
	clean = ${trap('clean')}
	smudge = ${trap('smudge')}
	process = ${trap('filter-process')}
	required = true
[diff "evil"]
	textconv = ${trap('textconv')}
	command = ${trap('diff-command')}
[diff]
	external = ${trap('diff-external')}
[merge "evil"]
	driver = ${trap('merge-driver')}
[remote "origin"]
	url = ext::sh -c ${trap('remote-url')}
	uploadpack = ${trap('upload-pack')}
	receivepack = ${trap('receive-pack')}
	vcs = evil
[commit]
	gpgSign = true
[gpg]
	program = ${trap('gpg')}
[uploadpack]
	packObjectsHook = ${trap('pack-objects')}
[protocol]
	allow = always
`

/** Everything that git's own documents name as a way from a repository's files to a program, each with a trap of its own. */
function setTraps(directory: string, more = ''): void {
  const repository = join(directory, '.git')
  for (const hooks of [join(marks, 'hooks'), join(repository, 'hooks')]) {
    mkdirSync(hooks, { recursive: true })
    for (const hook of HOOKS) {
      writeFileSync(join(hooks, hook), readFileSync(trap(`hook-${hook}`)))
      chmodSync(join(hooks, hook), 0o755)
    }
  }
  writeFileSync(join(marks, 'included'), `[core]\n\tfsmonitor = ${trap('included')}\n`)
  writeFileSync(join(repository, 'config'), `${configuration()}${more}`)
  writeFileSync(join(directory, '.gitattributes'), '* filter=evil diff=evil merge=evil\n')
}

const sprung = () => readdirSync(marks).filter((name) => name.endsWith('.ran'))

function plant(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(workspace, path)), { recursive: true })
  writeFileSync(join(workspace, path), content)
}

/** Sync has made a round since now: what is written now has reached the repository. The editor's writes bring a round forward. */
async function round(name: string): Promise<void> {
  expect(await hostile.call('POST', '/api/ide/file', { path: name, content: `${name}\n` })).toMatchObject({
    status: 200,
  })
  await vi.waitFor(() => expect(own.file(name)).toBe(`${name}\n`), SOON)
}

const inRepository = () => [...own.branches()].map((branch) => own.everything(branch)).join('\n')

describe('a hostile team', () => {
  it('sets traps that git springs where it trusts a repository', () => {
    const directory = join(marks, 'trusting')
    mkdirSync(directory)
    execFileSync('git', ['init', '--quiet', directory])
    setTraps(directory)
    writeFileSync(join(directory, 'file.txt'), 'x\n')
    // Whether it then succeeds is of no interest.
    spawnSync('git', ['-C', directory, 'status'], { stdio: 'ignore', timeout: 5_000 })
    spawnSync('git', ['-C', directory, 'fetch'], { stdio: 'ignore', timeout: 5_000 })
    expect(sprung().length).toBeGreaterThan(0)
    for (const mark of sprung()) rmSync(join(marks, mark))
  })

  it('springs nothing by the configuration and the hooks of the workspace’s repository', async () => {
    setTraps(workspace, `[core]\n\tworktree = ${teamDirectory(product, victim.teamId)}\n`)
    await round('after-configuration.txt')
    own.push({ 'from-a-human.txt': 'merged\n' }, 'Beside it')
    await round('after-a-human.txt')
    await vi.waitFor(() => expect(readFileSync(join(workspace, 'from-a-human.txt'), 'utf8')).toBe('merged\n'), SOON)
    expect(sprung()).toEqual([])
  })

  it('springs nothing by submodules, nested repositories and names of files', async () => {
    plant(
      '.gitmodules',
      `[submodule "a"]\n\tpath = a\n\turl = ext::sh -c ${trap('submodule')}\n\tupdate = !${trap('submodule-update')}\n[submodule "b"]\n\tpath = b\n\turl = -u${trap('submodule-option')}\n`,
    )
    plant('nested/.git/config', `[core]\n\tfsmonitor = ${trap('nested')}\n`)
    plant('nested/.git/HEAD', 'ref: refs/heads/main\n')
    plant('nested/file.txt', 'nested\n')
    plant('gitfile/.git', `gitdir: ${join(teamDirectory(product, victim.teamId), TEAM_FILES.sync)}\n`)
    plant('gitfile/file.txt', 'x\n')
    const names = [`--upload-pack=${'x'}`, '-rf', `$(touch ${'x'})`, 'line\nbreak', '`id`', ':(top)x', 'tab\t"quote"']
    for (const name of names) plant(name, 'a name\n')
    writeFileSync(Buffer.concat([Buffer.from(`${workspace}/`), Buffer.from([0xff, 0xfe, 0x2e, 0x78])]), 'not UTF-8\n')
    await round('after-names.txt')
    for (const name of names) expect(own.file(name), JSON.stringify(name)).toBe('a name\n')
    expect(sprung()).toEqual([])
    const { body } = await hostile.call('GET', '/api/ide/files')
    expect(JSON.stringify(body)).toContain('after-names.txt')
  })

  it('gets nothing of the other team by links', async () => {
    const theirs = workspaceOf(product, victim.teamId)
    symlinkSync(join(theirs, 'secret.txt'), join(workspace, 'leak.txt'))
    symlinkSync(theirs, join(workspace, 'leak'))
    symlinkSync(join('../../..', victim.teamId, TEAM_FILES.workspace), join(workspace, 'relative-leak'))
    symlinkSync('/proc/self/environ', join(workspace, 'environ'))
    await round('after-links.txt')
    for (const path of ['leak.txt', 'leak/secret.txt', 'relative-leak/secret.txt', 'environ']) {
      const read = await hostile.call('GET', `/api/ide/file?path=${encodeURIComponent(path)}`)
      expect(read.status, path).toBe(400)
      expect(JSON.stringify(read.body)).not.toContain(SECRET)
      expect((await hostile.call('POST', '/api/ide/file', { path, content: 'overwritten' })).status, path).toBe(400)
    }
    expect(inRepository()).not.toContain(SECRET)
    expect(readFileSync(join(theirs, 'secret.txt'), 'utf8')).toBe(`${SECRET}\n`)
  })

  it('gets nothing of the other team by putting something else in the place of its own workspace', async () => {
    const shared = join(teamDirectory(product, hostile.teamId), TEAM_FILES.shared)
    const theirs = workspaceOf(product, victim.teamId)
    const before = readdirSync(theirs).sort()
    renameSync(workspace, join(shared, 'away'))
    symlinkSync(theirs, workspace)
    const asked = await hostile.call('GET', '/api/ide/file?path=secret.txt')
    expect(asked.status).not.toBe(200)
    expect(JSON.stringify(asked.body)).not.toContain(SECRET)
    expect((await hostile.call('POST', '/api/ide/file', { path: 'mine.txt', content: 'x' })).status).not.toBe(200)
    // Long enough for a round, which says that something is wrong or has put it right.
    const since = (await environmentOf(hostile)).workspace?.at ?? ''
    await vi.waitFor(async () => {
      const isMended = !readdirSync(shared, { withFileTypes: true }).some(
        (e) => e.name === 'workspace' && e.isSymbolicLink(),
      )
      const { workspace: said } = await environmentOf(hostile)
      expect(isMended || (said !== undefined && said.at > since)).toBe(true)
    }, SOON)
    expect(readdirSync(theirs).sort()).toEqual(before)
    expect(inRepository()).not.toContain(SECRET)
    if (readdirSync(shared, { withFileTypes: true }).some((e) => e.name === 'workspace' && e.isSymbolicLink())) {
      rmSync(workspace)
      renameSync(join(shared, 'away'), workspace)
    }
    await round('after-the-swap.txt')
  })

  it('has never seen the credential of its repository', () => {
    const shared = join(teamDirectory(product, hostile.teamId), TEAM_FILES.shared)
    const entries = readdirSync(shared, { recursive: true, withFileTypes: true })
    const readable = entries
      // A name that is not UTF-8 leads nowhere as a string.
      .filter((entry) => entry.isFile() && !entry.name.includes('\ufffd'))
      .map((entry) => join(entry.parentPath, entry.name))
    expect(readable).toContain(join(workspace, '.git', 'config'))
    for (const path of readable) expect(readFileSync(path).includes(TOKEN), path).toBe(false)
    expect(inRepository()).not.toContain(TOKEN)
    expect(JSON.stringify(product.logs)).not.toContain(TOKEN)
  })

  it('ends with a last commit, nothing sprung, the other team untouched', async () => {
    await hostile.call('POST', `/api/environments/${hostile.teamId}/stop`)
    await environmentThat(hostile, ({ containers }) => containers.every(({ status }) => status === 'stopped'))
    expect(sprung()).toEqual([])
    expect(others.messages()).toEqual(['Begin'])
    expect(await victim.call('GET', '/api/ide/file?path=secret.txt')).toMatchObject({
      status: 200,
      body: { content: `${SECRET}\n` },
    })
  })
})
