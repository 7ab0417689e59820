import { execFileSync } from 'node:child_process'
import { watch } from 'node:fs'
import { chmod, readlink, rename, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Mirror } from '../../../container-images/preview/src/mirror/mirror.ts'
import { staysInside } from '../../../container-images/preview/src/mirror/names.ts'
import { makeMirror, treeOf } from './mirror-fixture.ts'
import { cleanUp, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

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
