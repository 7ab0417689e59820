import { execFileSync } from 'node:child_process'
import { lstat, open, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { copyFile } from '../../../container-images/preview/src/mirror/copy.ts'
import { scanTree, TreeWithheld } from '../../../container-images/preview/src/mirror/scan.ts'
import { makeMirror, treeOf } from './mirror-fixture.ts'
import { cleanUp, makeDirectory, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

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

test('a file in the tree’s place says why there is none; whatever else stands there says nothing', async () => {
  const { mirror, source, read } = await makeMirror({ a: '1' })
  await mirror.pass()
  await rename(source, `${source}.away`)
  await writeFile(source, 'There is no\u001b[31m branch\n')
  await expect(mirror.pass()).rejects.toThrow(new TreeWithheld('There is no [31m branch'))
  expect(await read('a')).toBe('1')
  await writeFile(source, 'x'.repeat(10_000))
  await expect(mirror.pass()).rejects.toThrow(new TreeWithheld('x'.repeat(500)))
  await rm(source)
  await symlink('/etc/hostname', source)
  await expect(mirror.pass()).rejects.toThrow(/ENOTDIR|ELOOP/)
  await rm(source)
  execFileSync('mkfifo', [source])
  await expect(mirror.pass()).rejects.toThrow('ENOTDIR')
  await rm(source)
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
  const place = path.join(target, 'src/a.txt')
  expect(await copyFile(path.join(source, 'src/a.txt'), seen, place, options.staging)).toEqual({ result: 'again' })
  expect(await readFile(place, 'utf8')).toBe('a')
  expect(await readdir(options.staging)).toEqual([])
})
