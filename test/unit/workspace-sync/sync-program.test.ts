import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { SyncProblem } from '../../../container-images/workspace-sync/src/git/types.ts'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
import { FakeEngine, makeTeam, removeDirectories, startSync } from './sync-fixture.ts'

let plane: FakeControlPlane
afterEach(async () => {
  await plane.close()
  await removeDirectories()
})

const REPOSITORY = { url: 'https://example.com/x.git' }
const COMMIT = 'c0ffee'.padEnd(40, '0')

describe('workspace sync in its container program', () => {
  it('prepares, does rounds, tells changes once, and ends with 0 after a last commit', async () => {
    plane = await FakeControlPlane.start({ sync: { repository: REPOSITORY } })
    const engine = new FakeEngine()
    engine.onRound = async () => engine.given.report({ state: 'synced', branch: 'trunk', commit: COMMIT })
    const { program, code, root } = await startSync(plane.url, { engine, timings: { roundEveryMs: 1 } })
    await engine.called(6)
    expect(engine.calls.slice(0, 3)).toEqual(['prepare', 'round', 'round'])
    expect(engine.given).toMatchObject({ root, repository: { url: 'https://example.com/x.git' } })
    expect(plane.reports).toEqual([{ action: 'link', type: 'sync', state: 'synced', branch: 'trunk', commit: COMMIT }])
    engine.onFinish = async () =>
      engine.given.report({ state: 'synced', branch: 'trunk', commit: COMMIT.replace('c', 'd') })
    program.stop()
    expect(await code).toBe(0)
    expect(engine.calls.at(-1)).toBe('finish')
    expect(plane.messages.slice(-2)).toMatchObject([
      { type: 'sync', commit: COMMIT.replace('c', 'd') },
      { type: 'exit', exitCode: 0, reason: 'Workspace sync was stopped' },
    ])
    expect(plane.violations).toEqual([])
  })

  it('has no repository when the team has none', async () => {
    plane = await FakeControlPlane.start({ sync: {} })
    const { program, engine, code } = await startSync(plane.url)
    await engine.called(2)
    expect(engine.given.repository).toBeUndefined()
    program.stop()
    expect(await code).toBe(0)
  })

  it('goes on without a link, and tells afterwards what happened meanwhile', async () => {
    let refuse: 503 | undefined
    plane = await FakeControlPlane.start({ sync: {}, refuse: () => refuse })
    const { program, engine, code } = await startSync(plane.url, { timings: { roundEveryMs: 1 } })
    await engine.called(2)
    refuse = 503
    plane.cut()
    await plane.until(() => plane.closedLinks === 1)
    await engine.called(engine.calls.length + 3)
    engine.given.report({ state: 'unpushed', detail: 'a', rescued: ['covibes/rescue/1'] })
    engine.given.report({ state: 'synced', rescued: ['covibes/rescue/2'] })
    expect(plane.reports).toEqual([])
    refuse = undefined
    await plane.until(() => plane.reports.length > 0)
    expect(plane.reports).toEqual([
      { action: 'link', type: 'sync', state: 'synced', rescued: ['covibes/rescue/1', 'covibes/rescue/2'] },
    ])
    program.stop()
    expect(await code).toBe(0)
  })

  it('tells the engine which branches have previews, and does a round soon when they change', async () => {
    plane = await FakeControlPlane.start({ sync: { previews: ['main'] } })
    const { program, engine, code } = await startSync(plane.url, { timings: { roundEveryMs: 60_000, soonMs: 1 } })
    await engine.called(2)
    expect(engine.previews).toEqual([['main']])
    plane.post({ type: 'preview-branches', branches: ['main', 'staging'] })
    await engine.called(3)
    expect(engine.previews.at(-1)).toEqual(['main', 'staging'])
    plane.post({ type: 'preview-branches', branches: [] })
    await engine.called(4)
    expect(engine.previews.at(-1)).toEqual([])
    program.stop()
    expect(await code).toBe(0)
  })

  it('tries to prepare again until it succeeds, and does no round before', async () => {
    plane = await FakeControlPlane.start({ sync: { repository: REPOSITORY } })
    const engine = new FakeEngine()
    let tries = 0
    const againWithin: unknown[] = []
    engine.onPrepare = async (withinMs) => {
      againWithin.push(withinMs)
      if (++tries === 3) return
      engine.given.report({ state: 'failed', detail: 'The remote refused the credential' })
      throw new SyncProblem('The remote refused the credential', 'failed')
    }
    const timings = { prepareMinMs: 5, prepareMaxMs: 8 }
    const { program, code, logged } = await startSync(plane.url, { engine, timings })
    await plane.until(() => plane.health.some(({ detail }) => detail === 'failed: The remote refused the credential'))
    await engine.called(4)
    expect(engine.calls).toEqual(['prepare', 'prepare', 'prepare', 'round'])
    expect(againWithin).toEqual([5, 8, 8])
    expect(plane.reports).toHaveLength(1)
    expect(logged.join('\n')).toContain('The remote refused the credential')
    program.stop()
    expect(await code).toBe(0)
  })

  it('ends at once, without a last commit, when there is nothing prepared to commit from', async () => {
    plane = await FakeControlPlane.start({ sync: { repository: REPOSITORY } })
    const engine = new FakeEngine()
    engine.onPrepare = () =>
      new Promise((_, reject) => engine.given.signal.addEventListener('abort', () => reject(new Error('aborted'))))
    const { program, code } = await startSync(plane.url, { engine })
    await engine.called(1)
    program.stop()
    expect(await code).toBe(0)
    expect(engine.calls).toEqual(['prepare'])
  })

  it('survives a round that fails, and is unhealthy when one does not end', async () => {
    plane = await FakeControlPlane.start({ sync: {} })
    const engine = new FakeEngine()
    let rounds = 0
    engine.onRound = async () => {
      if (++rounds === 1) throw new Error('a fault')
      await new Promise(() => undefined)
    }
    const { program, code, logged } = await startSync(plane.url, {
      engine,
      timings: { roundEveryMs: 1, stuckMs: 20, finishMs: 20, closeMs: 20 },
    })
    await expect
      .poll(() => program.health())
      .toMatchObject({ status: 'unhealthy', detail: expect.stringContaining('working') })
    expect(logged.join('\n')).toContain('a fault')
    engine.onFinish = () => new Promise(() => undefined)
    program.stop()
    expect(await code).toBe(75)
    expect(plane.exit).toMatchObject({ exitCode: 75, reason: 'The last commit was not done in time' })
  })

  it('ends by its deadline even without a link', async () => {
    plane = await FakeControlPlane.start({ sync: {} })
    const { program, engine, code } = await startSync(plane.url, { timings: { stopDeadlineMs: 300, closeMs: 50 } })
    await engine.called(2)
    await plane.close()
    const before = performance.now()
    program.stop()
    expect(await code).toBe(0)
    expect(performance.now() - before).toBeLessThan(1_500)
    expect(engine.calls.at(-1)).toBe('finish')
  })

  it.each([401, 403])('refused with %i: it ends with 77', async (status) => {
    plane = await FakeControlPlane.start({ refuse: () => status })
    const { code } = await startSync(plane.url)
    expect(await code).toBe(77)
  })

  it('dismissed: git is ended and the code is 77, without an exit message', async () => {
    plane = await FakeControlPlane.start({ sync: {} })
    const { engine, code } = await startSync(plane.url)
    await engine.called(2)
    plane.post({ type: 'dismissed', reason: 'The record was deleted' })
    expect(await code).toBe(77)
    expect(engine.given.signal.aborted).toBe(true)
    expect(plane.exit).toBeUndefined()
  })

  it('takes no repository that the check refuses, and says why', async () => {
    plane = await FakeControlPlane.start({
      sync: { repository: { url: 'https://169.254.169.254/x' }, allowLoopback: false },
    })
    const { engine, code } = await startSync(plane.url)
    expect(await code).toBe(78)
    expect(engine.calls).toEqual([])
    expect(plane.reports).toMatchObject([{ state: 'failed', detail: expect.stringContaining('169.254.169.254') }])
    expect(plane.exit).toMatchObject({ reason: expect.stringContaining('not a public one') })
  })

  it('is welcomed as what it is, never as an agent', async () => {
    plane = await FakeControlPlane.start({})
    const { program, engine, code } = await startSync(plane.url)
    await plane.until(() => plane.upgrades.length > 2)
    expect(engine.options).toBeUndefined()
    expect(program.status()).toMatchObject({ link: { lastProblem: expect.stringContaining('another kind') } })
    program.stop()
    expect(await code).toBe(0)
  })
})

describe('authors', () => {
  it('are asked for over the link', async () => {
    const authors = [{ name: 'Ada', email: 'ada@agents.covibes.invalid' }]
    plane = await FakeControlPlane.start({ sync: {}, authors })
    const { program, engine, code } = await startSync(plane.url)
    await engine.called(2)
    const since = new Date('2026-01-02T03:04:05.678Z')
    expect(await engine.given.authors(since)).toEqual(authors)
    expect(plane.messages.find(({ type }) => type === 'ask-authors')).toMatchObject({ since: since.toISOString() })
    program.stop()
    await code
  })

  it('are nobody when there is no answer in time or no link', async () => {
    plane = await FakeControlPlane.start({ sync: {} })
    const { program, engine, code } = await startSync(plane.url, { timings: { authorsMs: 10 } })
    await engine.called(2)
    expect(await engine.given.authors(new Date())).toEqual([])
    // An answer that is late, or to nothing that was asked, changes nothing.
    plane.post({ type: 'authors', id: 'x', authors: [{ name: 'x', email: 'x' }] })
    program.stop()
    await code
    expect(await engine.given.authors(new Date())).toEqual([])
  })
})

describe('credentials', () => {
  it('reach git’s variables, and neither reports nor logs', async () => {
    const credential = { kind: 'token', username: 'x-access-token', token: 'ghp_secret1234' } as const
    plane = await FakeControlPlane.start({ sync: { repository: { ...REPOSITORY, credential } } })
    const { program, engine, code, logged } = await startSync(plane.url, { resolve: async () => ['93.184.215.14'] })
    await engine.called(2)
    const header = Buffer.from('x-access-token:ghp_secret1234').toString('base64')
    expect(JSON.stringify(await engine.given.repository?.gitEnvironment())).toContain(header)
    engine.given.report({ state: 'unpushed', detail: `fatal: ghp_secret1234 and ${header}` })
    await plane.until(() => plane.reports.length === 1)
    program.stop()
    await code
    const told = JSON.stringify([plane.messages, logged])
    expect(told).toContain('fatal: *** and ***')
    expect(told).not.toMatch(/ghp_secret|eC1hY2Nlc3/)
  })
})

describe('erasing', () => {
  it('removes everything of the team, follows no link, and ends with 0', async () => {
    const other = await makeTeam()
    await writeFile(path.join(other.workspace, 'theirs'), 'x')
    plane = await FakeControlPlane.start({ sync: { purpose: 'erase' }, answerHello: (count) => count > 0 })
    const { engine, root, workspace, code } = await startSync(plane.url, { timings: { welcomeMs: 300 } })
    await mkdir(path.join(workspace, 'a/b/c'), { recursive: true })
    await writeFile(path.join(workspace, 'a/b/c/new\nline'), 'x')
    await symlink(other.root, path.join(workspace, 'a/link'))
    await symlink('/etc/passwd', path.join(root, 'file'))
    expect(await code).toBe(0)
    expect(await readdir(root)).toEqual([])
    expect(await readdir(other.workspace)).toEqual(['theirs'])
    expect(engine.options).toBeUndefined()
    expect(plane.exit).toMatchObject({ exitCode: 0, reason: "The team's files were erased" })
  })

  it('says what it could not do, with a code of its own', async () => {
    plane = await FakeControlPlane.start({ sync: { purpose: 'erase' }, answerHello: (count) => count > 0 })
    const { program, code } = await startSync(plane.url, {
      timings: { welcomeMs: 300 },
      settings: {
        environment: 'team-1/record-1/1',
        ticket: 'ticket',
        linkUrl: plane.url,
        teamRoot: '/proc/self/nothing',
        port: 0,
        host: '',
        home: '',
        path: '',
      },
    })
    expect(await code).toBe(74)
    expect(plane.exit).toMatchObject({ exitCode: 74, reason: expect.stringContaining('ENOENT') })
    program.stop()
  })
})
