import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listTree } from '../../../../container-images/workspace-sync/src/safe-files/list.ts'
import { isDotGit, splitPath } from '../../../../container-images/workspace-sync/src/safe-files/paths.ts'
import { readFile } from '../../../../container-images/workspace-sync/src/safe-files/read.ts'
import { emptyDirectory, removeTree } from '../../../../container-images/workspace-sync/src/safe-files/remove.ts'
import { SafeDirectory } from '../../../../container-images/workspace-sync/src/safe-files/safe-directory.ts'
import { SafeFileError } from '../../../../container-images/workspace-sync/src/safe-files/safe-file-error.ts'
import { writeFileAtomic } from '../../../../container-images/workspace-sync/src/safe-files/write.ts'

let base: string
let tree: string
let outside: string
let staging: string
let root: SafeDirectory
let server: Server | undefined

beforeEach(async () => {
  base = mkdtempSync(path.join(tmpdir(), 'safe-files-'))
  tree = path.join(base, 'tree')
  outside = path.join(base, 'outside')
  staging = path.join(base, 'staging')
  mkdirSync(path.join(tree, 'folder'), { recursive: true })
  mkdirSync(outside)
  writeFileSync(path.join(outside, 'secret'), 'secret of another team')
  writeFileSync(path.join(tree, 'folder', 'plain.txt'), 'plain')
  root = await SafeDirectory.open(tree)
})
afterEach(async () => {
  await root.close()
  server?.close()
  server = undefined
  rmSync(base, { recursive: true, force: true })
})

const code = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(SafeFileError)
  return (error as SafeFileError).code
}
const write = (target: string | Buffer, text: string) => writeFileAtomic(root, target, Buffer.from(text), { staging })

describe('paths', () => {
  it.each([
    ['', 'empty'],
    ['/etc/passwd', 'absolute'],
    ['../outside/secret', 'up'],
    ['folder/../../outside/secret', 'up in the middle'],
    ['folder/..', 'up at the end'],
    ['./folder', 'here'],
    ['folder//plain.txt', 'an empty part'],
    ['folder/', 'an empty last part'],
    ['folder/pl\0ain.txt', 'NUL'],
    ['a'.repeat(256), 'a long name'],
    ['a/'.repeat(2100), 'a long path'],
    ['\ud800', 'half a character'],
  ])('refuses %j (%s) for every operation', async (bad) => {
    expect(await code(readFile(root, bad, 100))).toBe('invalid-path')
    expect(await code(write(bad, 'x'))).toBe('invalid-path')
    expect(await code(removeTree(root, bad))).toBe('invalid-path')
    expect(readdirSync(tree)).toEqual(['folder'])
  })

  it('takes names with newlines, leading dashes, backslashes and bytes that are no UTF-8', async () => {
    for (const name of ['a\nb', '-rf', 'back\\slash', '...', ' ', '日本語/é']) {
      await write(name, name)
      expect((await readFile(root, name, 100)).toString()).toBe(name)
    }
    const bytes = Buffer.from([0xff, 0xfe, 0x41])
    await write(bytes, 'bytes')
    expect((await readFile(root, bytes, 100)).toString()).toBe('bytes')
    expect(splitPath(Buffer.from('a/b'))).toHaveLength(2)
  })

  it('knows every spelling of .git', () => {
    const spelled = [
      '.git',
      '.GIT',
      '.Git',
      'git~1',
      'GIT~1',
      '.git ',
      '.git...',
      '.git::$INDEX_ALLOCATION',
      '.git\\x',
      '.g\u200cit',
    ]
    for (const name of spelled) expect([name, isDotGit(Buffer.from(name))]).toEqual([name, true])
    for (const name of ['.gitignore', 'git', '.github', 'a.git', 'git~2x', '.gi'])
      expect([name, isDotGit(Buffer.from(name))]).toEqual([name, false])
  })
})

describe('what is not a plain file', () => {
  beforeEach(() => {
    symlinkSync(path.join(outside, 'secret'), path.join(tree, 'link'))
    symlinkSync(outside, path.join(tree, 'link-to-folder'))
    symlinkSync('nowhere', path.join(tree, 'dangling'))
    execFileSync('mkfifo', [path.join(tree, 'fifo')])
  })

  it('follows no symbolic link, neither last nor in the middle', async () => {
    for (const name of ['link', 'link-to-folder', 'dangling', 'link-to-folder/secret']) {
      expect([name, await code(readFile(root, name, 100))]).toEqual([name, 'invalid-path'])
      expect([name, await code(write(name, 'x'))]).toEqual([name, 'invalid-path'])
    }
    expect(readFileSync(path.join(outside, 'secret'), 'utf8')).toBe('secret of another team')
    expect(readdirSync(outside)).toEqual(['secret'])
  })

  it('does not wait for a FIFO, and takes no socket, device or directory for a file', async () => {
    server = createServer().listen(path.join(tree, 'socket'))
    await new Promise((resolve) => server?.once('listening', resolve))
    const names = ['fifo', 'socket', 'folder']
    if (process.getuid?.() === 0) {
      execFileSync('mknod', [path.join(tree, 'device'), 'c', '1', '5'])
      names.push('device')
    }
    for (const name of names) {
      expect([name, await code(readFile(root, name, 100))]).toEqual([name, 'not-a-file'])
      expect([name, await code(write(name, 'x'))]).toEqual([name, 'not-a-file'])
    }
    expect(await code(readFile(root, 'absent', 100))).toBe('not-found')
    expect(await code(readFile(root, 'folder/plain.txt/below', 100))).toBe('not-found')
  })

  it('lists neither links nor special files', async () => {
    const { entries, truncated } = await listTree(root, { maxEntries: 100, select: () => 'open' })
    expect(truncated).toBe(false)
    expect(entries).toEqual([
      {
        name: 'folder',
        path: 'folder',
        type: 'directory',
        children: [{ name: 'plain.txt', path: 'folder/plain.txt', type: 'file' }],
      },
    ])
  })

  it('removes links and special files, not what they point to', async () => {
    await emptyDirectory(root)
    expect(readdirSync(tree)).toEqual([])
    expect(readdirSync(outside)).toEqual(['secret'])
  })
})

describe('reading and writing', () => {
  it('reads up to the limit and no further', async () => {
    expect((await readFile(root, 'folder/plain.txt', 5)).toString()).toBe('plain')
    expect(await code(readFile(root, 'folder/plain.txt', 4))).toBe('too-large')
    await write('empty', '')
    expect(await readFile(root, 'empty', 0)).toHaveLength(0)
  })

  it('makes directories, keeps permissions, leaves nothing beside the file', async () => {
    await write('new/deep/file.txt', 'one')
    execFileSync('chmod', ['755', path.join(tree, 'new/deep/file.txt')])
    await write('new/deep/file.txt', 'two')
    expect(readFileSync(path.join(tree, 'new/deep/file.txt'), 'utf8')).toBe('two')
    expect(statSync(path.join(tree, 'new/deep/file.txt')).mode & 0o777).toBe(0o755)
    expect(readdirSync(path.join(tree, 'new/deep'))).toEqual(['file.txt'])
    expect(readdirSync(staging)).toEqual([])
  })

  it('leaves nothing in staging when it cannot put the file in place', async () => {
    expect(await code(write('folder/plain.txt/below', 'x'))).toBe('not-found')
    expect(await code(write('folder', 'x'))).toBe('not-a-file')
    expect(readFileSync(path.join(tree, 'folder/plain.txt'), 'utf8')).toBe('plain')
  })

  it('never leaves the tree while directories are swapped for links under it', { timeout: 60_000 }, async () => {
    writeFileSync(path.join(outside, 'plain.txt'), 'secret of another team')
    const done = new SharedArrayBuffer(4)
    const swapper = new Worker(
      `const { mkdirSync, renameSync, symlinkSync } = require('node:fs')
       const { workerData: { tree, outside, done } } = require('node:worker_threads')
       const flag = new Int32Array(done), folder = tree + '/folder', away = outside + '/../away'
       mkdirSync(away)
       // A write may make the directory whenever it is missing, so each step is tried until nothing stands in its way.
       const put = (place) => { for (;;) try { return place() } catch { try { renameSync(folder, away + '/' + count++) } catch {} } }
       let count = 0
       while (Atomics.load(flag, 0) === 0) {
         renameSync(folder, away + '/real')
         put(() => symlinkSync(outside, folder))
         renameSync(folder, away + '/' + count++)
         put(() => renameSync(away + '/real', folder))
       }`,
      { eval: true, workerData: { tree, outside, done } },
    )
    const ended = new Promise((resolve, reject) => swapper.once('exit', resolve).once('error', reject))
    const seen = { read: 0, refused: 0 }
    try {
      for (let i = 0; i < 100_000 && (i < 300 || seen.read < 50 || seen.refused < 50); i++) {
        const text = await readFile(root, 'folder/plain.txt', 100).then(String, () => undefined)
        if (text === undefined) seen.refused++
        else seen.read++
        expect([undefined, 'plain']).toContain(text)
        await write('folder/plain.txt', 'plain').catch(() => {})
        if (i % 50 === 0) await write(`folder/new-${i}`, 'x').catch(() => {})
      }
    } finally {
      Atomics.store(new Int32Array(done), 0, 1)
      await ended
    }
    expect(readdirSync(outside).sort()).toEqual(['plain.txt', 'secret'])
    expect(readFileSync(path.join(outside, 'plain.txt'), 'utf8')).toBe('secret of another team')
    expect(seen.read).toBeGreaterThanOrEqual(50)
    expect(seen.refused).toBeGreaterThanOrEqual(50)
  })
})

describe('listing', () => {
  it('says when it leaves out, and keeps the upper levels', async () => {
    for (let i = 0; i < 30; i++) await write(`big/deep/${i}`, '')
    await write('top.txt', '')
    const { entries, truncated } = await listTree(root, { maxEntries: 10, select: () => 'open' })
    expect(truncated).toBe(true)
    expect(entries.map((entry) => entry.name)).toEqual(['big', 'folder', 'top.txt'])
    const count = (list: typeof entries): number => list.reduce((sum, one) => sum + 1 + count(one.children ?? []), 0)
    expect(count(entries)).toBe(10)
  })

  it('hides and closes what it is told to', async () => {
    await write('.git/config', '')
    await write('node_modules/pkg/index.js', '')
    const { entries } = await listTree(root, {
      maxEntries: 100,
      select: ({ name }) => (name === '.git' ? 'hide' : name === 'node_modules' ? 'closed' : 'open'),
    })
    expect(entries.map((entry) => entry.name)).toEqual(['folder', 'node_modules'])
    expect(entries[1]?.children).toEqual([])
  })

  it('leaves out names that are no UTF-8', async () => {
    await write(Buffer.from([0xff]), '')
    const { entries } = await listTree(root, { maxEntries: 100, select: () => 'open' })
    expect(entries.map((entry) => entry.name)).toEqual(['folder'])
  })
})

describe('removing', () => {
  it('removes a tree deeper than paths and descriptors reach', async () => {
    // Each level is made in its parent as working directory; 3000 levels of 20 bytes are far above PATH_MAX.
    const deeper = `for (let i = 0; i < 3000; i++) {
      require('node:fs').mkdirSync('abcdefghijklmnopqrst')
      process.chdir('abcdefghijklmnopqrst')
    }
    require('node:fs').writeFileSync('file', '')`
    execFileSync(process.execPath, ['-e', deeper], { cwd: path.join(tree, 'folder') })
    await removeTree(root, 'folder')
    expect(readdirSync(tree)).toEqual([])
    await removeTree(root, 'folder')
  })
})
