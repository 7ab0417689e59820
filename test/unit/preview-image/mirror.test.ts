import { execFileSync } from 'node:child_process'
import { watch } from 'node:fs'
import {
  chmod,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Mirror, type MirrorOptions } from '../../../container-images/preview/src/mirror/mirror.ts'
import { staysInside } from '../../../container-images/preview/src/mirror/names.ts'
import { scanTree } from '../../../container-images/preview/src/mirror/scan.ts'
import { cleanUp, makeDirectory, type Tree, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

async function makeMirror(tree: Tree, limits: MirrorOptions['limits'] = {}) {
  const root = await makeDirectory()
  const source = path.join(root, 'source')
  const target = path.join(root, 'target')
  await mkdir(source)
  await writeTree(source, tree)
  const options = { source, target, staging: path.join(root, 'staging'), limits }
  const mirror = new Mirror(options)
  return { mirror, source, target, options, read: (name: string) => readFile(path.join(target, name), 'utf8') }
}

/** Everything in a directory: content of files, `-> target` of links. */
async function treeOf(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const place = path.join(entry.parentPath, entry.name)
    const name = path.relative(root, place)
    if (entry.isSymbolicLink()) found[name] = `-> ${await readlink(place)}`
    else if (entry.isFile()) found[name] = await readFile(place, 'utf8')
    else found[`${name}/`] = ''
  }
  return found
}

test('copies a tree without what tools make in it, and keeps it in step', async () => {
  const { mirror, source, target } = await makeMirror({
    'a.txt': 'a',
    'src/deep/b.txt': 'b',
    'empty/': '',
    '.env': 'X=1',
    '.git/config': 'secret',
    'node_modules/x/index.js': '',
    'packages/p/node_modules/y.js': '',
    '.next/cache': '',
    'venv/bin/python': '',
  })
  expect(await mirror.pass()).toMatchObject({ changed: ['.env', 'a.txt', 'src/deep/b.txt'], removed: [], postponed: 0 })
  expect(await treeOf(target)).toEqual({
    '.env': 'X=1',
    'a.txt': 'a',
    'empty/': '',
    'packages/': '',
    'packages/p/': '',
    'src/': '',
    'src/deep/': '',
    'src/deep/b.txt': 'b',
  })
  expect(await mirror.pass()).toMatchObject({ changed: [], removed: [], postponed: 0 })

  await writeFile(path.join(source, 'a.txt'), 'A')
  await rename(path.join(source, 'src/deep/b.txt'), path.join(source, 'src/c.txt'))
  await rm(path.join(source, 'src/deep'), { recursive: true })
  expect(await mirror.pass()).toMatchObject({
    changed: ['a.txt', 'src/c.txt'],
    removed: ['src/deep', 'src/deep/b.txt'],
  })
  expect(await treeOf(target)).toMatchObject({ 'a.txt': 'A', 'src/c.txt': 'b' })
  expect(await treeOf(target)).not.toHaveProperty('src/deep/')
})

test('sees a change of the same size that keeps the modification time', async () => {
  const { mirror, source, read } = await makeMirror({ 'a.txt': 'one' })
  const place = path.join(source, 'a.txt')
  await mirror.pass()
  const { atime, mtime } = await stat(place)
  await writeFile(place, 'two')
  await utimes(place, atime, mtime)
  expect((await mirror.pass()).changed).toEqual(['a.txt'])
  expect(await read('a.txt')).toBe('two')
})

test('a file that is only touched, or gets its content again, changes nothing in the copy', async () => {
  const { mirror, source, target } = await makeMirror({ 'a.txt': 'same' })
  await mirror.pass()
  const before = await stat(path.join(target, 'a.txt'))
  await rm(path.join(source, 'a.txt'))
  await writeFile(path.join(source, 'a.txt'), 'same')
  expect(await mirror.pass()).toMatchObject({ changed: [], removed: [] })
  const after = await stat(path.join(target, 'a.txt'))
  expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs])
  await chmod(path.join(source, 'a.txt'), 0o700)
  await mirror.pass()
  expect((await stat(path.join(target, 'a.txt'))).mode & 0o777).toBe(0o755)
})

test('a watcher of the copy sees one event for a change, and never a half-written file', async () => {
  const big = 'x'.repeat(3_000_000)
  const { mirror, source, target, read } = await makeMirror({ 'a.txt': 'one', 'big.bin': big })
  await mirror.pass()
  const events: string[] = []
  const watcher = watch(target, (event, name) => events.push(`${event} ${name}`))
  await writeFile(path.join(source, 'a.txt'), 'two')
  await writeFile(path.join(source, 'big.bin'), `${big}y`)
  await mirror.pass()
  expect(await read('a.txt')).toBe('two')
  expect(await read('big.bin')).toBe(`${big}y`)
  // The events are in the kernel's queue by now: the one of a file made last comes after them.
  const last = new Promise<void>((resolve) => watcher.on('change', (_, name) => name === 'last' && resolve()))
  await writeFile(path.join(target, 'last'), '')
  await last
  watcher.close()
  expect(events.filter((event) => !event.endsWith('last')).sort()).toEqual(['rename a.txt', 'rename big.bin'])
})

test('a file that was emptied is taken when it stays so: its writer fills it next', async () => {
  const { mirror, source, read } = await makeMirror({ 'a.txt': 'one' })
  await mirror.pass()
  await writeFile(path.join(source, 'a.txt'), '')
  expect(await mirror.pass()).toMatchObject({ changed: [], postponed: 1 })
  expect(await read('a.txt')).toBe('one')
  await writeFile(path.join(source, 'a.txt'), 'two')
  expect(await mirror.pass()).toMatchObject({ changed: ['a.txt'], postponed: 0 })
  await writeFile(path.join(source, 'a.txt'), '')
  expect(await mirror.pass()).toMatchObject({ changed: [], postponed: 1 })
  expect(await mirror.pass()).toMatchObject({ changed: ['a.txt'], postponed: 0 })
  expect(await read('a.txt')).toBe('')
})

test('symbolic links inside the tree are kept as links, others and special files are left out and named', async () => {
  const { mirror, source, target } = await makeMirror({ 'src/a.txt': 'a', 'docs/': '' })
  await symlink('../src/a.txt', path.join(source, 'docs/a'))
  await symlink('/etc/passwd', path.join(source, 'absolute'))
  await symlink('../../etc', path.join(source, 'docs/up'))
  execFileSync('mkfifo', [path.join(source, 'pipe')])
  const { leftOut } = await mirror.pass()
  expect(leftOut.toSorted()).toEqual([
    'absolute: a symbolic link that leads out of the repository',
    'docs/up: a symbolic link that leads out of the repository',
    'pipe: not a plain file',
  ])
  expect(await treeOf(target)).toEqual({ 'src/': '', 'src/a.txt': 'a', 'docs/': '', 'docs/a': '-> ../src/a.txt' })
  await unlink(path.join(source, 'docs/a'))
  await symlink('../src', path.join(source, 'docs/a'))
  expect((await mirror.pass()).changed).toEqual(['docs/a'])
  expect(await readlink(path.join(target, 'docs/a'))).toBe('../src')
})

test.each([
  ['a', 'b', true],
  ['a/b', '../c', true],
  ['a/b', '../../c', false],
  ['a/b', '..', true],
  ['a', '..', false],
  ['a', 'b/../../c', false],
  ['a', './b//c', true],
  ['a', '/b', false],
  ['a', '', false],
])('%s -> %s stays inside: %s', (name, target, inside) => {
  expect(staysInside(name, target)).toBe(inside)
})

test('a directory that becomes a file, a link, and a directory again', async () => {
  const { mirror, source, target } = await makeMirror({ 'a/b/c.txt': 'c', 'd.txt': 'd' })
  await mirror.pass()
  await rm(path.join(source, 'a'), { recursive: true })
  await writeFile(path.join(source, 'a'), 'file')
  await mirror.pass()
  expect(await treeOf(target)).toEqual({ a: 'file', 'd.txt': 'd' })
  await rm(path.join(source, 'a'))
  await symlink('d.txt', path.join(source, 'a'))
  await mirror.pass()
  expect(await treeOf(target)).toEqual({ a: '-> d.txt', 'd.txt': 'd' })
  await rm(path.join(source, 'a'))
  await writeTree(source, { 'a/e.txt': 'e' })
  await mirror.pass()
  expect(await treeOf(target)).toEqual({ 'a/': '', 'a/e.txt': 'e', 'd.txt': 'd' })
})

test('what a dev server makes in the copy stays, unless something of the tree takes its place', async () => {
  const { mirror, source, target } = await makeMirror({ 'src/a.txt': 'a' })
  await mirror.pass()
  await writeTree(target, {
    'src/made.txt': 'made',
    'node_modules/x.js': 'x',
    'later/own.txt': 'own',
    'file/in/it.txt': '',
  })
  await rm(path.join(source, 'src'), { recursive: true })
  await writeTree(source, { 'later/a.txt': 'a', file: 'plain' })
  await mirror.pass()
  expect(await treeOf(target)).toEqual({
    'src/': '',
    'src/made.txt': 'made',
    'node_modules/': '',
    'node_modules/x.js': 'x',
    'later/': '',
    'later/own.txt': 'own',
    'later/a.txt': 'a',
    file: 'plain',
  })
})

test('a directory that a dev server has removed comes back with the next change in it', async () => {
  const { mirror, source, target } = await makeMirror({ 'src/deep/a.txt': 'a' })
  await mirror.pass()
  await rm(path.join(target, 'src'), { recursive: true })
  await writeFile(path.join(source, 'src/deep/a.txt'), 'b')
  await mirror.pass()
  expect(await treeOf(target)).toMatchObject({ 'src/deep/a.txt': 'b' })
})

test('a second start throws an old copy away and keeps what was installed', async () => {
  const { mirror, target, options } = await makeMirror({ 'a.txt': 'a' })
  await mirror.pass()
  await writeTree(target, {
    'old/b.txt': 'b',
    'node_modules/x.js': 'x',
    'packages/p/node_modules/y.js': 'y',
    'packages/p/z.js': '',
  })
  const next = new Mirror(options)
  await next.pass()
  expect(await treeOf(target)).toEqual({
    'a.txt': 'a',
    'node_modules/': '',
    'node_modules/x.js': 'x',
    'packages/': '',
    'packages/p/': '',
    'packages/p/node_modules/': '',
    'packages/p/node_modules/y.js': 'y',
  })
})

test('trees beyond the limits are refused with a number, large files are left out and named', async () => {
  const { mirror } = await makeMirror({ a: '1', b: '2', c: '3' }, { maxEntries: 2 })
  await expect(mirror.pass()).rejects.toThrow(
    'The working tree has more than 2 files, node_modules and caches not counted',
  )
  const bytes = await makeMirror(
    { a: 'x'.repeat(1024 * 1024), b: 'x'.repeat(1024 * 1024) },
    { maxBytes: 1.5 * 1024 * 1024 },
  )
  await expect(bytes.mirror.pass()).rejects.toThrow('The working tree has more than 2 MB')
  const large = await makeMirror({ a: 'xx', b: 'x' }, { maxFileBytes: 1 })
  expect(await large.mirror.pass()).toMatchObject({ changed: ['b'], leftOut: ['a: larger than 0 MB'] })
})

test('a tree that is not there, or not any more, is told; the copy stays', async () => {
  const { mirror, source, read } = await makeMirror({ a: '1' })
  await mirror.pass()
  await rename(source, `${source}.away`)
  await expect(mirror.pass()).rejects.toThrow('The working tree is not there yet')
  expect(await read('a')).toBe('1')
  await rename(`${source}.away`, source)
  expect(await mirror.pass()).toMatchObject({ changed: [], removed: [] })
})

test('names that are no UTF-8 are left out', async () => {
  const { mirror, source, target } = await makeMirror({ a: '1' })
  const place = Buffer.concat([Buffer.from(`${source}/b`), Buffer.from([0xff])])
  await (await open(place, 'w')).close()
  const { leftOut } = await mirror.pass()
  expect(leftOut).toEqual([expect.stringContaining('its name is no UTF-8')])
  expect(Object.keys(await treeOf(target))).toEqual(['a'])
})

test('a directory that is swapped for a link while it is walked leads nowhere', async () => {
  const { source } = await makeMirror({ 'src/a.txt': 'a' })
  const outside = await makeDirectory()
  await writeTree(outside, { 'a.txt': 'outside' })
  // Asking the server for a file is the moment between reading a directory and looking at what is in it.
  const { entries } = scanTree(source, { maxEntries: 10, maxBytes: 10, maxFileBytes: 10 }, () => {
    execFileSync('sh', ['-c', 'mv src src.away && ln -s "$1" src', 'sh', outside], { cwd: source })
    return true
  })
  const { ino } = await lstat(path.join(source, 'src.away/a.txt'))
  expect(entries.get('src/a.txt')).toMatchObject({ kind: 'file', ino })
})

test('a file that is another one when it is copied is not copied', async () => {
  const { mirror, source, target, options } = await makeMirror({ 'src/a.txt': 'a' })
  const outside = await makeDirectory()
  await writeTree(outside, { 'a.txt': 'outside' })
  await mirror.pass()
  const scan = scanTree(source, { maxEntries: 10, maxBytes: 10, maxFileBytes: 10 }, () => false)
  const seen = scan.entries.get('src/a.txt')
  if (seen?.kind !== 'file') throw new Error('Not seen')
  await rename(path.join(source, 'src'), path.join(source, 'away'))
  await symlink(outside, path.join(source, 'src'))
  const { copyFile } = await import('../../../container-images/preview/src/mirror/copy.ts')
  const place = path.join(target, 'src/a.txt')
  expect(await copyFile(path.join(source, 'src/a.txt'), seen, place, options.staging)).toEqual({ result: 'again' })
  expect(await readFile(place, 'utf8')).toBe('a')
  expect(await readdir(options.staging)).toEqual([])
})

test('5,000 files: a pass without changes costs a fraction of the pause after it', async () => {
  const tree: Record<string, string> = {}
  for (let i = 0; i < 5_000; i++) tree[`src/d${i % 250}/f${i}.ts`] = `export const f${i} = ${i}\n`
  const { mirror } = await makeMirror(tree)
  const first = await mirror.pass()
  expect(first.changed).toHaveLength(5_000)
  const passes = []
  for (let i = 0; i < 5; i++) passes.push((await mirror.pass()).scanMs)
  const median = passes.sort((a, b) => a - b)[2] as number
  console.log(
    `5,000 files: first pass ${Math.round(first.scanMs)} + ${Math.round(first.applyMs)} ms, later ${median.toFixed(1)} ms`,
  )
  expect(median).toBeLessThan(500)
})
