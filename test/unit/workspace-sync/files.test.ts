import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ListFilesAnswerSchema, ReadFileAnswerSchema } from '../../../shared/contracts/files.ts'
import { MAX_FILE_BYTES, MAX_LISTED_FILES } from '../../../shared/contracts/limits.ts'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
import { makeTeam, type RunningSync, removeDirectories, startSync } from './sync-fixture.ts'

let plane: FakeControlPlane
let sync: RunningSync
beforeEach(async () => {
  plane = await FakeControlPlane.start({ sync: {} })
  sync = await startSync(plane.url)
  await sync.engine.called(2)
})
afterEach(async () => {
  sync.program.stop()
  await sync.code
  expect(plane.violations).toEqual([])
  await plane.close()
  await removeDirectories()
})

const put = async (file: string, content: string | Buffer) => {
  await mkdir(path.dirname(path.join(sync.workspace, file)), { recursive: true })
  await writeFile(path.join(sync.workspace, file), content)
}
const list = async (branch = 'main') => {
  const answer = await plane.ask({ op: 'list', branch })
  return answer.ok ? ListFilesAnswerSchema.parse(answer.result) : answer.code
}
const read = async (file: string, branch = 'main') => {
  const answer = await plane.ask({ op: 'read', branch, path: file })
  return answer.ok ? ReadFileAnswerSchema.parse(answer.result) : answer.code
}
const write = async (file: string, content: string, branch = 'main') => {
  const answer = await plane.ask({ op: 'write', branch, path: file, content })
  return answer.ok ? answer.result : answer.code
}

describe('listing', () => {
  it('gives the tree, directories first, without .git and what is in node_modules, and no special files', async () => {
    for (const file of ['b.txt', 'src/a.ts', 'src/.git/config', '.git/HEAD', '.gitignore', 'node_modules/x/y.js'])
      await put(file, '')
    await symlink('/etc/passwd', path.join(sync.workspace, 'link'))
    execFileSync('mkfifo', [path.join(sync.workspace, 'fifo')])
    expect(await list()).toEqual({
      files: [
        { name: 'node_modules', path: 'node_modules', type: 'directory', children: [] },
        {
          name: 'src',
          path: 'src',
          type: 'directory',
          children: [{ name: 'a.ts', path: 'src/a.ts', type: 'file' }],
        },
        { name: '.gitignore', path: '.gitignore', type: 'file' },
        { name: 'b.txt', path: 'b.txt', type: 'file' },
      ],
      truncated: false,
    })
  })

  it('is cut off at its bounds, and says so', async () => {
    for (let directory = 0; directory < 6; directory++) {
      await mkdir(path.join(sync.workspace, `d${directory}`))
      await Promise.all(
        Array.from({ length: 1000 }, (_, file) => writeFile(path.join(sync.workspace, `d${directory}/${file}`), '')),
      )
    }
    const answer = await list()
    if (typeof answer === 'string') throw new Error(answer)
    expect(answer.truncated).toBe(true)
    const count = answer.files.reduce((sum, { children }) => sum + 1 + (children?.length ?? 0), 0)
    expect(count).toBe(MAX_LISTED_FILES)
  }, 20_000)

  it('stays below what can be answered when names are long', async () => {
    const long = '"'.repeat(250)
    const directory = path.join(sync.workspace, long, long)
    await mkdir(directory, { recursive: true })
    await Promise.all(
      Array.from({ length: 3000 }, (_, file) => writeFile(path.join(directory, `${file}${'"'.repeat(200)}`), '')),
    )
    const answer = await list()
    if (typeof answer === 'string') throw new Error(answer)
    expect(answer.truncated).toBe(true)
    expect(JSON.stringify(JSON.stringify(answer)).length).toBeLessThan(5_000_000)
    expect(JSON.stringify(JSON.stringify(answer)).length).toBeGreaterThan(3_000_000)
  }, 20_000)
})

describe('reading', () => {
  it('gives text as it is, and tells what is none', async () => {
    const text = '\ufeffgrüße 🙂\r\n\u0001'
    await put('a/text', text)
    await put('nul', 'a\0b')
    await put('latin1', Buffer.from('grüße', 'latin1'))
    await put('empty', '')
    expect(await read('a/text')).toEqual({
      path: 'a/text',
      content: text,
      isBinary: false,
      size: Buffer.byteLength(text),
    })
    expect(await read('nul')).toEqual({ path: 'nul', content: '', isBinary: true, size: 3 })
    expect(await read('latin1')).toMatchObject({ content: '', isBinary: true, size: 5 })
    expect(await read('empty')).toMatchObject({ content: '', isBinary: false, size: 0 })
  })

  it('takes files up to the bound, in many parts, and no larger ones', async () => {
    const line = 'all "quoted" ünd\tso on\n'
    const text = line.repeat(Math.floor(MAX_FILE_BYTES / Buffer.byteLength(line)))
    await put('large', text)
    await put('larger', 'x'.repeat(MAX_FILE_BYTES + 1))
    const answer = await read('large')
    expect(typeof answer === 'object' && answer.content === text).toBe(true)
    // What repeats itself takes one message instead of forty.
    expect(plane.messages.filter(({ type }) => type === 'answer')).toMatchObject([{ parts: 1, encoding: 'gzip' }])
    expect(await read('larger')).toBe('too-large')
  })

  it('sends plainly, in many parts, what packing makes no smaller', async () => {
    const text = randomBytes((MAX_FILE_BYTES / 4) * 3).toString('base64')
    await put('random', text)
    const answer = await read('random')
    expect(typeof answer === 'object' && answer.content === text).toBe(true)
    const parts = plane.messages.filter(({ type }) => type === 'answer')
    expect(parts.length).toBeGreaterThan(30)
    for (const part of parts) expect(part).not.toHaveProperty('encoding')
  })

  it('says of a text that no answer can hold that it is too large', async () => {
    await put('controls', '\u0001'.repeat(MAX_FILE_BYTES))
    expect(await read('controls')).toBe('too-large')
  })

  it.each([
    ['/etc/passwd', 'invalid-path'],
    ['../secret', 'invalid-path'],
    ['a/../../secret', 'invalid-path'],
    ['./a', 'invalid-path'],
    ['a//b', 'invalid-path'],
    ['a/', 'invalid-path'],
    ['a\0b', 'invalid-path'],
    ['.git/config', 'invalid-path'],
    ['sub/.git/hooks/x', 'invalid-path'],
    ['.GIT/config', 'invalid-path'],
    ['link', 'invalid-path'],
    ['up/secret', 'invalid-path'],
    ['nothing', 'not-found'],
    ['dir', 'not-a-file'],
    ['fifo', 'not-a-file'],
    ['socket', 'not-a-file'],
  ])('is refused: %j', async (file, code) => {
    await writeFile(path.join(sync.root, 'secret'), 'x')
    await mkdir(path.join(sync.workspace, 'dir'))
    await symlink('/etc/passwd', path.join(sync.workspace, 'link'))
    await symlink('../..', path.join(sync.workspace, 'up'))
    execFileSync('mkfifo', [path.join(sync.workspace, 'fifo')])
    const socket = createServer()
    await new Promise<void>((resolve) => socket.listen(path.join(sync.workspace, 'socket'), resolve))
    expect(await read(file)).toBe(code)
    if (code !== 'not-found') expect(await write(file, 'x')).toBe(code)
    await new Promise((resolve) => socket.close(resolve))
  })
})

describe('writing', () => {
  it('makes files and directories, replaces what is there, keeps its mode, and asks for a round', async () => {
    const rounds = sync.engine.calls.length
    expect(await write('a/b/new.txt', 'grüße')).toEqual({ message: 'File saved', path: 'a/b/new.txt', size: 7 })
    await sync.engine.called(rounds + 1)
    await put('run.sh', 'old')
    await chmod(path.join(sync.workspace, 'run.sh'), 0o755)
    await write('run.sh', 'new')
    expect(await readFile(path.join(sync.workspace, 'a/b/new.txt'), 'utf8')).toBe('grüße')
    expect(await readFile(path.join(sync.workspace, 'run.sh'), 'utf8')).toBe('new')
    expect((await stat(path.join(sync.workspace, 'run.sh'))).mode & 0o777).toBe(0o755)
    expect(await readdir(path.join(sync.root, 'sync/incoming'))).toEqual([])
  })

  it('takes a whole megabyte, in parts that come in any order', async () => {
    const content = '"ü\n'.repeat(MAX_FILE_BYTES / 4)
    const answer = await plane.ask({ op: 'write', branch: 'main', path: 'large', content }, 'backwards')
    expect(answer).toMatchObject({ ok: true, result: { size: MAX_FILE_BYTES } })
    expect((await readFile(path.join(sync.workspace, 'large'), 'utf8')) === content).toBe(true)
    expect(await write('larger', `${content}x`)).toBe('too-large')
    expect(await write('wide', 'ü'.repeat(MAX_FILE_BYTES / 2 + 1))).toBe('too-large')
  })

  it('changes nothing when it is refused', async () => {
    const other = await makeTeam()
    await symlink(other.workspace, path.join(sync.workspace, 'theirs'))
    expect(await write('theirs/x', 'x')).toBe('invalid-path')
    expect(await write('.git/hooks/post-commit', 'x')).toBe('invalid-path')
    expect(await write('half', '\ud800')).toBe('failed')
    expect(await readdir(other.workspace)).toEqual([])
    expect(await readdir(sync.workspace)).toEqual(['theirs'])
  })
})

describe('branches', () => {
  it('main, workspace and the tree’s own are the shared tree, others are previews or not there', async () => {
    await put('shared.txt', 'shared')
    for (const branch of ['main', 'workspace', 'trunk'])
      expect(await read('shared.txt', branch)).toMatchObject({ content: 'shared' })
    const preview = path.join(sync.root, 'shared/previews/staging')
    await mkdir(preview, { recursive: true })
    await writeFile(path.join(preview, 'preview.txt'), 'preview')
    expect(await read('preview.txt', 'staging')).toMatchObject({ content: 'preview' })
    expect(await read('shared.txt', 'staging')).toBe('not-found')
    for (const branch of ['develop', '../sync', 'a/b', '\ud800']) expect(await list(branch)).toBe('not-found')
    for (const branch of ['..', '.']) expect(await list(branch)).toBe('invalid-path')
  })

  it('a tree that an agent has replaced by a link is not followed', async () => {
    const other = await makeTeam()
    await writeFile(path.join(other.workspace, 'x'), 'theirs')
    await rename(sync.workspace, `${sync.workspace}-away`)
    await symlink(other.workspace, sync.workspace)
    expect(await read('x')).toBe('invalid-path')
  })

  it('a tree that is not there yet is being prepared', async () => {
    await rename(sync.workspace, `${sync.workspace}-away`)
    expect(await list()).toBe('not-ready')
    await rename(path.join(sync.root, 'shared'), path.join(sync.root, 'away'))
    expect(await read('x')).toBe('not-ready')
  })
})

describe('the files server', () => {
  it('answers what is no request, and goes on', async () => {
    for (const [id, data] of [
      ['a', 'no JSON'],
      ['b', '{"op":"remove"}'],
    ] as const) {
      plane.post({ type: 'request', id, part: 0, parts: 1, data })
      expect(await plane.answer(id)).toMatchObject({ ok: false, code: 'failed' })
    }
    expect(await list()).toMatchObject({ truncated: false })
  })

  it('refuses more than it can hold, and goes on', async () => {
    for (let each = 0; each < 17; each++)
      plane.post({ type: 'request', id: `open${each}`, part: 0, parts: 2, data: 'x' })
    expect(await plane.answer('open16')).toMatchObject({ ok: false, code: 'failed' })
    plane.post({ type: 'request', id: 'open0', part: 5, parts: 2, data: 'x' })
    expect(await plane.answer('open0')).toMatchObject({ ok: false })
    expect(await list()).toMatchObject({ truncated: false })
  })

  it('answers a request again that is repeated over a new link', async () => {
    const data = JSON.stringify({ op: 'list', branch: 'main' })
    plane.post({ type: 'request', id: 'again', part: 0, parts: 1, data })
    await plane.answer('again')
    plane.cut()
    await plane.until(() => plane.health.length === 2)
    plane.post({ type: 'request', id: 'again', part: 0, parts: 1, data })
    await plane.until(() => plane.messages.filter(({ type }) => type === 'answer').length === 2)
  })

  it('answers many at once, each its own', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, each) => put(`f${each}`, `content ${each}`)))
    const answers = await Promise.all(Array.from({ length: 40 }, (_, each) => read(`f${each}`)))
    expect(answers.map((answer) => typeof answer === 'object' && answer.content)).toEqual(
      Array.from({ length: 40 }, (_, each) => `content ${each}`),
    )
  })
})
