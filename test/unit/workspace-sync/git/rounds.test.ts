import { existsSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { git, Team, write } from './support.ts'

let team: Team
beforeEach(() => {
  team = new Team()
})
afterEach(() => team.end())

describe('the first time', () => {
  it('clones the default branch, complete and with a repository for the agents', async () => {
    team.withRemote({ 'README.md': 'hello\n', 'src/a.ts': 'a\n' })
    await team.start()
    expect(team.read('src/a.ts')).toBe('a\n')
    expect(team.agent('status', '--porcelain=v2', '--branch')).toContain('# branch.head main')
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(team.agent('log', '--format=%s')).toBe('first')
    expect(team.agent('remote', 'get-url', 'origin')).toBe(`file://${team.remote}`)
    expect(team.reports.map((report) => report.state)).toEqual(['preparing', 'synced'])
    expect(team.report).toMatchObject({ branch: 'main', commit: git(team.human, 'rev-parse', 'HEAD') })
  })

  it('goes on without a repository', async () => {
    const sync = await team.start()
    write(team.workspace, { 'notes.txt': 'one' })
    await sync.round()
    expect(team.report.state).toBe('synced')
    expect(team.agent('status', '--porcelain')).toBe('')
    expect(team.agent('show', 'HEAD:notes.txt')).toBe('one')
  })
})

describe('a round', () => {
  it('pushes what agents wrote', async () => {
    team.withRemote()
    const sync = await team.start()
    write(team.workspace, { 'new.txt': 'new\n', 'README.md': 'changed\n' })
    await sync.round()
    expect(team.atRemote('new.txt')).toBe('new\n')
    expect(team.atRemote('README.md')).toBe('changed\n')
    expect(team.report.state).toBe('synced')
    expect(team.agent('status', '--porcelain')).toBe('')
  })

  it('brings in what others pushed', async () => {
    team.withRemote()
    const sync = await team.start()
    write(team.human, { 'theirs.txt': 'theirs\n', 'README.md': 'theirs\n' })
    team.commit('theirs')
    write(team.workspace, { 'ours.txt': 'ours\n' })
    await sync.round()
    expect(team.read('theirs.txt')).toBe('theirs\n')
    expect(team.read('README.md')).toBe('theirs\n')
    expect(team.atRemote('ours.txt')).toBe('ours\n')
    expect(team.agent('status', '--porcelain')).toBe('')
    await sync.round()
    expect(team.rescues()).toEqual([])
    expect(existsSync(path.join(team.workspace, '.git/index.lock'))).toBe(false)
  })
})
