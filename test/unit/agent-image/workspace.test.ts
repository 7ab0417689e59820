import { execFileSync } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  checkRepositoryUrl,
  prepareWorkspace,
  WorkspaceError,
  type WorkspaceOptions,
} from '../../../container-images/agent/src/workspace.ts'
import { makeDirectory, removeDirectories } from './agent-fixture.ts'

const ENV = { PATH: process.env.PATH ?? '', HOME: '/nonexistent' }
const git = (cwd: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@x', ...args], { cwd, encoding: 'utf8' }).trim()

let directory: string
let shown: string
let server: Server | undefined
beforeEach(async () => {
  directory = path.join(await makeDirectory(), 'workspace')
  shown = ''
})
afterEach(async () => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
  await removeDirectories()
})

const prepare = (repositoryUrl?: string, more: Partial<WorkspaceOptions> = {}) =>
  prepareWorkspace({
    directory,
    repositoryUrl,
    env: ENV,
    cloneMs: 20_000,
    abort: new AbortController().signal,
    show: (text) => {
      shown += text
    },
    ...more,
  })

/** A bare repository with one commit, served over HTTP the way git can read it from any file server. */
async function serveRepository(): Promise<string> {
  const root = await makeDirectory()
  const source = path.join(root, 'source')
  await mkdir(source)
  git(source, 'init', '-q', '-b', 'trunk')
  await writeFile(path.join(source, 'README.md'), 'hello\n')
  git(source, 'add', '.')
  git(source, 'commit', '-q', '-m', 'first')
  git(root, 'clone', '-q', '--bare', source, 'repo.git')
  git(path.join(root, 'repo.git'), 'update-server-info')
  server = createServer((request, response) => {
    const file = createReadStream(path.join(root, new URL(request.url ?? '/', 'http://x').pathname))
    file.on('error', () => response.writeHead(404).end())
    file.pipe(response)
  })
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/repo.git`
}

describe('the workspace', () => {
  it('is made a repository on main when none is named', async () => {
    await prepare()
    expect(git(directory, 'symbolic-ref', 'HEAD')).toBe('refs/heads/main')
  })

  it('is cloned, shows how, and hides the credential', async () => {
    const url = await serveRepository()
    await prepare(url.replace('//', '//user:hunter2@'))
    expect(await readFile(path.join(directory, 'README.md'), 'utf8')).toBe('hello\n')
    expect(git(directory, 'symbolic-ref', 'HEAD')).toBe('refs/heads/trunk')
    expect(shown).toContain(`Cloning ${url}`)
    expect(shown).not.toContain('hunter2')
  })

  it('is left alone when it is a repository, and never cloned over files', async () => {
    await mkdir(directory)
    await writeFile(path.join(directory, 'mine'), 'x')
    await prepare('https://repository.invalid/x.git')
    expect(shown).toContain('not empty')
    expect(git(directory, 'status', '--porcelain')).toBe('?? mine')
    shown = ''
    await prepare('https://repository.invalid/x.git')
    expect(shown).toBe('')
  })

  it('says why a clone failed, without the credential', async () => {
    const url = await serveRepository()
    const wrong = url.replace('//', '//user:hunter2@').replace('repo.git', 'none.git')
    const error = await prepare(wrong).catch((problem: unknown) => problem)
    expect(error).toBeInstanceOf(WorkspaceError)
    expect((error as Error).message).toMatch(/^git clone failed \(128\): .*not found/)
    expect(`${(error as Error).message} ${shown}`).not.toContain('hunter2')
  })

  it('gives up on a clone that takes too long or is interrupted', async () => {
    server = createServer(() => undefined)
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.git`
    await expect(prepare(url, { cloneMs: 300 })).rejects.toThrow('took longer than 0.3 s')
    const abort = new AbortController()
    server.once('request', () => abort.abort())
    directory = path.join(directory, 'other')
    await expect(prepare(url, { abort: abort.signal })).rejects.toThrow('was interrupted')
  })

  it.each(['file:///etc', 'ext::sh -c touch% /tmp/x', '--upload-pack=x', 'http://example.com/x.git', '/etc', ''])(
    'is not cloned from %j',
    async (url) => {
      await expect(prepare(url)).rejects.toThrow(WorkspaceError)
    },
  )

  it.each(['https://example.com/x.git', 'ssh://git@example.com/x', 'git@example.com:team/x.git'])(
    'may be cloned from %s',
    (url) => {
      expect(checkRepositoryUrl(url)).toEqual({ url, shown: url, userinfo: '' })
    },
  )
})
