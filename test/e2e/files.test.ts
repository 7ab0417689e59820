/** The editor's files: of teams on containers by way of their workspace sync, of all others by the existing server. */
import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ListFilesAnswerSchema } from '../../shared/contracts/files.ts'
import { MAX_FILE_BYTES } from '../../shared/contracts/limits.ts'
import { ErrorAnswerSchema } from '../../shared/contracts/routes.ts'
import type { Product, TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { startWithExistingServer, type WithExistingServer } from '../support/with-existing-server.ts'
import { SOON, withWorkspace, workspaceOf } from '../support/workspaces.ts'

let all: WithExistingServer
let product: Product
let repository: Repository
beforeAll(async () => {
  all = await startWithExistingServer()
  product = all.product
  repository = await Repository.start({ 'README.md': '# Team\n', 'src/app.ts': 'export {}\n' })
})
afterAll(async () => {
  await all.close()
  await repository.close()
})

const query = (fields: Record<string, string>) => new URLSearchParams({ branch: 'main', ...fields }).toString()

describe("a team's files", () => {
  let member: TestMember
  let workspace: string
  const list = async () => ListFilesAnswerSchema.parse((await member.call('GET', '/api/ide/files?branch=main')).body)
  const read = (path: string) => member.call('GET', `/api/ide/file?${query({ path })}`)
  const write = (path: string, content: string) =>
    member.call('POST', '/api/ide/file', { path, content, branch: 'main' })
  beforeAll(async () => {
    member = await product.member()
    await withWorkspace(member, repository.url)
    workspace = workspaceOf(product, member.teamId)
  })

  it('are listed as a tree', async () => {
    expect(await list()).toEqual({
      files: [
        {
          name: 'src',
          path: 'src',
          type: 'directory',
          children: [{ name: 'app.ts', path: 'src/app.ts', type: 'file' }],
        },
        { name: 'README.md', path: 'README.md', type: 'file' },
      ],
      truncated: false,
    })
  })

  it('are read, binary ones told apart', async () => {
    expect(await read('src/app.ts')).toMatchObject({
      status: 200,
      body: { path: 'src/app.ts', content: 'export {}\n', isBinary: false, size: 10 },
    })
    writeFileSync(join(workspace, 'logo.png'), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2]))
    expect(await read('logo.png')).toMatchObject({ status: 200, body: { content: '', isBinary: true, size: 7 } })
  })

  it('are written, new directories with them, and soon in the repository', async () => {
    const content = 'Grüße 😀\n"quoted"\\\n'
    expect(await write('docs/deep/new.md', content)).toMatchObject({ status: 200, body: { path: 'docs/deep/new.md' } })
    expect(await read('docs/deep/new.md')).toMatchObject({ body: { content } })
    expect(readFileSync(join(workspace, 'docs/deep/new.md'), 'utf8')).toBe(content)
    await vi.waitFor(() => expect(repository.file('docs/deep/new.md')).toBe(content), SOON)
  })

  it('are written and read up to the limit, and not beyond it', async () => {
    const content = `${'0123456789abcde\n'.repeat(MAX_FILE_BYTES / 16)}`
    expect((await write('large.txt', content)).status).toBe(200)
    expect((await read('large.txt')).body).toMatchObject({ content, size: MAX_FILE_BYTES })
    const refused = await write('large.txt', `${content}x`)
    expect(refused.status).toBe(413)
    expect(ErrorAnswerSchema.parse(refused.body).code).toBe('FILE_TOO_LARGE')
    writeFileSync(join(workspace, 'huge.txt'), `${content}x`)
    expect((await read('huge.txt')).status).toBe(413)
    expect((await read('large.txt')).body).toMatchObject({ size: MAX_FILE_BYTES })
  })

  it('are those of many editors at once', async () => {
    const paths = Array.from({ length: 12 }, (_, n) => `many/${n}.txt`)
    const written = await Promise.all(paths.map((path) => write(path, `${path}\n`)))
    expect(written.map(({ status }) => status)).toEqual(paths.map(() => 200))
    const texts = await Promise.all(paths.map(async (path) => ((await read(path)).body as { content: string }).content))
    expect(texts).toEqual(paths.map((path) => `${path}\n`))
  })

  it.each([
    ['nothing there', 'missing.txt', 404],
    ['a directory', 'src', 400],
    ['up and out', '../../sync/config', 400],
    ['up within', 'src/../README.md', 400],
    ['absolute', '/etc/passwd', 400],
    ['with a NUL', 'a\0b', 400],
    ["git's own", '.git/config', 400],
    ['empty', '', 400],
  ])('%s is refused', async (_name, path, status) => {
    expect((await read(path)).status).toBe(status)
    if (status === 400) expect((await write(path, 'x')).status).toBe(400)
  })

  it('are nothing that a symlink leads to', async () => {
    symlinkSync('/etc/passwd', join(workspace, 'passwd'))
    symlinkSync('/etc', join(workspace, 'etc'))
    symlinkSync('src', join(workspace, 'alias'))
    for (const path of ['passwd', 'etc/passwd', 'alias/app.ts']) {
      const { status, body } = await read(path)
      expect(status, path).toBe(400)
      expect(JSON.stringify(body)).not.toContain('root:')
      expect((await write(path, 'x')).status, path).toBe(400)
    }
    expect(lstatSync(join(workspace, 'passwd')).isSymbolicLink()).toBe(true)
    const names = JSON.stringify((await list()).files)
    expect(names).not.toContain('hostname')
  })

  it('have branches only as far as there are working trees', async () => {
    expect((await member.call('GET', `/api/ide/files?branch=workspace`)).status).toBe(200)
    expect((await member.call('GET', `/api/ide/files?branch=nowhere`)).status).toBe(404)
    expect((await member.call('GET', `/api/ide/files?branch=..%2F..`)).status).toBeOneOf([400, 404])
  })

  it('are not those of another team', async () => {
    const other = await product.member()
    await withWorkspace(other)
    writeFileSync(join(workspaceOf(product, other.teamId), 'theirs.txt'), 'theirs')
    expect((await read('theirs.txt')).status).toBe(404)
    expect((await read(`../../../${other.teamId}/shared/workspace/theirs.txt`)).status).toBe(400)
    expect(JSON.stringify(await list())).not.toContain('theirs.txt')
  })

  it('are whole for agents at every moment', async () => {
    mkdirSync(join(workspace, 'atomic'), { recursive: true })
    const [short, long] = ['short\n', `${'long '.repeat(50_000)}\n`]
    await write('atomic/a.txt', short)
    let isOver = false
    const seen = new Set<number>()
    const looking = (async () => {
      while (!isOver) {
        seen.add(readFileSync(join(workspace, 'atomic/a.txt')).length)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    for (const content of [long, short, long]) expect((await write('atomic/a.txt', content)).status).toBe(200)
    isOver = true
    await looking
    expect([...seen].filter((size) => size !== short.length && size !== long.length)).toEqual([])
  })
})

describe('files of a team that is not on containers', () => {
  it('are the existing server’s, as the request came; a bad token is, too', async () => {
    const { PutCommand } = await import('@aws-sdk/lib-dynamodb')
    const member = await product.member()
    await product.tables.send(
      new PutCommand({
        TableName: product.runtime.functionOf('list-files').environment.FLAGS_TABLE,
        Item: { scope: `team#${member.teamId}`, useDockerAgents: false },
      }),
    )
    expect(await member.call('GET', '/api/ide/files?branch=main')).toMatchObject({ status: 200, body: { files: [] } })
    // The stand-in has no such route; these words are its own.
    expect(await member.call('GET', '/api/ide/file?path=x')).toMatchObject({
      status: 404,
      body: { error: 'Not found' },
    })
    const ask = (headers: Record<string, string>) => fetch(new URL('/api/ide/files', product.url), { headers })
    const [missing, bad] = [await ask({}), await ask({ authorization: 'Bearer a.b.c' })]
    expect([missing.status, await missing.json()]).toEqual([401, { error: 'Access token required' }])
    expect([bad.status, await bad.json()]).toEqual([403, { error: 'Invalid or expired token' }])
    expect((await member.call('GET', `/api/environments/${member.teamId}`)).body).toMatchObject({ status: 'none' })
  })
})
