import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GitServer } from '../../support/git-server.ts'
import type { WelcomeSync } from '../common/fake-control-plane.ts'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
import { makeTeam, removeDirectories } from './sync-fixture.ts'

const MAIN = fileURLToPath(new URL('../../../container-images/workspace-sync/src/main.ts', import.meta.url))
const CREDENTIAL = { kind: 'token', username: 'x-access-token', token: 'ghp_secret1234' } as const
const AUTHORS = [{ name: 'Ada', email: 'ada@agents.covibes.invalid' }]

let root: string
let server: GitServer
let bare: string
let plane: FakeControlPlane | undefined
let child: ChildProcess | undefined
let output: string
beforeEach(async () => {
  root = (await makeTeam()).root
  const repositories = path.join(root, '..', `${path.basename(root)}-repositories`)
  await mkdir(repositories)
  server = await GitServer.start({ root: repositories, credential: 'x-access-token:ghp_secret1234' })
  bare = server.create('x')
  output = ''
})
afterEach(async () => {
  child?.kill('SIGKILL')
  child = undefined
  await plane?.close()
  plane = undefined
  await server.close()
  await removeDirectories()
})

const inBare = (...args: string[]) => execFileSync('git', ['-C', bare, ...args], { encoding: 'utf8', stdio: 'pipe' })

/** Runs the image's entry point on a team's root of its own, as the container would. */
async function start(sync: Partial<WelcomeSync>, env: Record<string, string> = {}) {
  plane = await FakeControlPlane.start({ sync, authors: AUTHORS })
  const teamRoot = path.join(root, 'team')
  await mkdir(teamRoot, { recursive: true })
  const started = spawn(process.execPath, [MAIN], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: path.join(root, 'home'),
      COVIBES_ENVIRONMENT: 'team-1/record-1/1',
      COVIBES_LINK_TICKET: 'ticket',
      COVIBES_LINK_URL: plane.url,
      COVIBES_TEAM_ROOT: teamRoot,
      PORT: '0',
      HOST: '127.0.0.1',
      ...env,
    },
  })
  child = started
  for (const stream of [started.stdout, started.stderr])
    stream.on('data', (text) => {
      output += text
    })
  const ended = new Promise<number | null>((resolve) => started.on('close', resolve))
  return { plane, teamRoot, ended, stop: () => started.kill('SIGTERM') }
}

describe('workspace sync as a process, with real git', () => {
  it('clones, serves files, pushes with co-authors, and a last time at SIGTERM', async () => {
    const source = path.join(root, 'source')
    execFileSync('git', ['clone', '--quiet', bare, source], { stdio: 'pipe' })
    await writeFile(path.join(source, 'README.md'), 'hello\n')
    for (const args of [
      ['add', '.'],
      ['commit', '-q', '-m', 'first'],
      ['push', '-q', 'origin', 'HEAD:main'],
    ])
      execFileSync('git', ['-C', source, '-c', 'user.name=x', '-c', 'user.email=x@x', ...args])

    const { plane, teamRoot, ended, stop } = await start({
      repository: { url: server.url('x'), credential: CREDENTIAL },
    })
    await plane.until(() => plane.reports.some(({ state }) => state === 'synced'), 'the first sync')
    expect(await plane.ask({ op: 'read', branch: 'main', path: 'README.md' })).toMatchObject({
      ok: true,
      result: { content: 'hello\n' },
    })
    await plane.ask({ op: 'write', branch: 'main', path: 'docs/a.md', content: 'by the editor\n' })
    const before = plane.reports.length
    await plane.until(() => plane.reports.length > before, 'the report of the commit')
    expect(inBare('show', 'main:docs/a.md')).toBe('by the editor\n')
    expect(plane.reports.at(-1)).toMatchObject({
      state: 'synced',
      branch: 'main',
      commit: inBare('rev-parse', 'main').trim(),
    })

    await writeFile(path.join(teamRoot, 'shared/workspace/b.txt'), 'by an agent\n')
    stop()
    expect(await ended).toBe(0)
    expect(inBare('show', 'main:b.txt')).toBe('by an agent\n')
    expect(inBare('log', '-1', '--format=%B', 'main')).toContain('Co-authored-by: Ada <ada@agents.covibes.invalid>')
    expect(plane.messages.at(-1)).toMatchObject({ type: 'exit', exitCode: 0 })
    expect(plane.violations).toEqual([])
    // The credential: told to nobody, written nowhere.
    expect(output + JSON.stringify(plane.messages)).not.toContain('ghp_secret1234')
    const found = execFileSync('sh', ['-c', `grep -rl ghp_secret1234 ${teamRoot} || true`], { encoding: 'utf8' })
    expect(found).toBe('')
  }, 60_000)

  it('says in words why it cannot clone, lets no tree appear, and ends when it is asked to', async () => {
    const wrong = { ...CREDENTIAL, token: 'ghp_another999' }
    const { plane, teamRoot, ended, stop } = await start({ repository: { url: server.url('x'), credential: wrong } })
    const report = await plane.until(() =>
      plane.reports.find(({ state }) => state === 'failed' || state === 'unpushed'),
    )
    expect(report.detail).toMatch(/credential|refused|denied|Authentication|Username/i)
    expect(report.detail).not.toContain('ghp_')
    expect(await plane.ask({ op: 'list', branch: 'main' })).toMatchObject({ ok: false, code: 'not-ready' })
    stop()
    expect(await ended).toBe(0)
    await expect(stat(path.join(teamRoot, 'shared/workspace'))).rejects.toThrow('ENOENT')
  }, 60_000)

  it('goes on where it was killed', async () => {
    const repository = { url: server.url('x'), credential: CREDENTIAL }
    const first = await start({ repository })
    await first.plane.until(() => first.plane.reports.some(({ state }) => state === 'synced'), 'the first sync')
    await first.plane.ask({ op: 'write', branch: 'main', path: 'a.txt', content: 'before\n' })
    child?.kill('SIGKILL')
    await first.ended
    await first.plane.close()
    await writeFile(path.join(first.teamRoot, 'shared/workspace/b.txt'), 'meanwhile\n')
    const second = await start({ repository })
    await second.plane.until(() => second.plane.reports.some(({ state }) => state === 'synced'), 'the sync afterwards')
    second.stop()
    expect(await second.ended).toBe(0)
    expect([inBare('show', 'main:a.txt'), inBare('show', 'main:b.txt')]).toEqual(['before\n', 'meanwhile\n'])
    expect(await readFile(path.join(first.teamRoot, 'shared/workspace/a.txt'), 'utf8')).toBe('before\n')
  }, 60_000)

  it('erases and ends', async () => {
    await mkdir(path.join(root, 'team/shared/workspace'), { recursive: true })
    await writeFile(path.join(root, 'team/shared/workspace/a'), '')
    const { teamRoot, ended } = await start({ purpose: 'erase' })
    expect(await ended).toBe(0)
    expect(await readdir(teamRoot)).toEqual([])
  }, 30_000)

  it('wrong variables: it ends with 78 and names them, never the ticket', async () => {
    const { ended } = await start({}, { COVIBES_TEAM_ROOT: 'team', COVIBES_LINK_TICKET: 'tick-tock', PORT: 'many' })
    expect(await ended).toBe(78)
    expect(output).toMatch(/PORT.*COVIBES_TEAM_ROOT/)
    expect(output).not.toContain('tick-tock')
  })
})
