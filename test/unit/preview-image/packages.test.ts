/** What package managers have fetched, from one preview's task to the next. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { lstat, mkdir, readdir, readFile, symlink, utimes, watch, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import {
  CACHE_LIMITS,
  type CacheLimits,
  KEPT_FILE,
  PackageCache,
} from '../../../container-images/preview/src/packages/package-cache.ts'
import { startRegistry } from '../../support/package-registry.ts'
import { cleanUp, makeDirectory, type RunningPreview, startPreview, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

const HERE = 'Packages of earlier installs are here'
const UNUSABLE = 'Packages of earlier installs cannot be used, they are fetched again'
const KEPT = 'Packages are kept for the next start'
const NOT_KEPT = 'Packages are not kept for the next start'

describe('a preview whose task is another one', () => {
  const served = async ({ url }: RunningPreview) => (await fetch(url)).text()
  const says = ({ plane }: RunningPreview, text: string) => plane.until(() => plane.text.includes(text), text)
  const ended = async ({ program, code }: RunningPreview) => {
    program.stop()
    expect(await code).toBe(0)
  }

  test('installs from what was kept when the registry and the first task’s disk are gone, and not without it', async () => {
    const registry = await startRegistry('covibes-kept', 'from the cache')
    const first = await startPreview(registry.project)
    await first.phase('ready')
    expect(await served(first)).toBe('from the cache')
    await says(first, KEPT)
    expect(registry.asked).toContain('/covibes-kept/-/covibes-kept-1.0.0.tgz')
    await ended(first)
    await registry.close()

    const { cache } = first.settings
    expect(await readdir(cache)).toEqual([KEPT_FILE])
    const next = await startPreview(registry.project, { settings: { cache } })
    await next.phase('installing')
    await next.phase('ready')
    expect(await served(next)).toBe('from the cache')
    expect(next.plane.text).toContain(HERE)
    await ended(next)

    const without = await startPreview(registry.project)
    expect((await without.phase('failed')).reason).toMatch(/^npm install failed/)
  })

  test('has the package manager itself from what was kept', async () => {
    const registry = await startRegistry('covibes-managed', 'by pnpm')
    const first = await startPreview(registry.pnpmProject)
    await first.phase('ready')
    await says(first, KEPT)
    expect(registry.asked).toContain('/pnpm/-/pnpm-9.9.9.tgz')
    await ended(first)
    await registry.close()
    const next = await startPreview(registry.pnpmProject, { settings: { cache: first.settings.cache } })
    await next.phase('installing')
    await next.phase('ready')
    expect(await served(next)).toBe('by pnpm')
  })

  test('installs from the registry when what was kept is broken, and keeps it anew', async () => {
    const registry = await startRegistry('covibes-broken', 'from the registry')
    const cache = await makeDirectory()
    const kept = path.join(cache, KEPT_FILE)
    await writeFile(kept, 'neither gzip nor tar')
    const preview = await startPreview(registry.project, { settings: { cache } })
    await preview.phase('ready')
    expect(await served(preview)).toBe('from the registry')
    expect(preview.plane.text).toContain(UNUSABLE)
    await says(preview, KEPT)
    expect(execFileSync('tar', ['-tzf', kept]).toString()).toContain('./npm/_cacache/content-v2/')
    await registry.close()
  })

  test('comes up where nothing can be kept', async () => {
    const registry = await startRegistry('covibes-nowhere', 'from the registry')
    const file = path.join(await makeDirectory(), 'a-file')
    await writeFile(file, '')
    const preview = await startPreview(registry.project, { settings: { cache: path.join(file, 'cache') } })
    await preview.phase('ready')
    expect(await served(preview)).toBe('from the registry')
    await says(preview, NOT_KEPT)
    await registry.close()
  })
})

describe('what is kept', () => {
  type Made = {
    readonly cache: PackageCache
    readonly working: string
    readonly said: string[]
    until(text: string): Promise<void>
  }

  /** A task with a disk of its own. */
  async function task(kept: string, limits: Partial<CacheLimits> = {}): Promise<Made> {
    const working = path.join(await makeDirectory(), 'cache')
    const said: string[] = []
    const waiting: { text: string; resolve: () => void }[] = []
    const say = (text: string) => {
      said.push(text)
      for (const one of waiting) if (text.startsWith(one.text)) one.resolve()
    }
    const until = (text: string) =>
      new Promise<void>((resolve) => {
        if (said.some((line) => line.startsWith(text))) resolve()
        else waiting.push({ text, resolve })
      })
    const cache = new PackageCache({ kept, working, say, log: () => undefined, limits })
    return { cache, working, said, until }
  }

  /** A task that has installed something, and kept it. */
  async function keeps(kept: string, tree: Record<string, string>, limits?: Partial<CacheLimits>): Promise<Made> {
    const made = await task(kept, limits)
    await installs(made, tree)
    await made.until(KEPT)
    return made
  }

  async function installs({ cache, working }: Made, tree: Record<string, string>): Promise<void> {
    await cache.installing()
    await writeTree(working, tree)
    cache.installed()
    cache.settled()
  }

  const content = async (made: Made, name: string) => readFile(path.join(made.working, name), 'utf8')

  test('comes back with its links and modes, without the logs, and with what the next task adds', async () => {
    const kept = await makeDirectory()
    const first = await task(kept)
    await first.cache.installing()
    await writeTree(first.working, { 'npm/a': 'one', 'npm/_logs/x': 'log', 'npm/_npx/tool': '#!/bin/sh' })
    await symlink('tool', path.join(first.working, 'npm/_npx/link'))
    execFileSync('chmod', ['755', path.join(first.working, 'npm/_npx/tool')])
    first.cache.installed()
    first.cache.settled()
    await first.until(KEPT)
    const second = await keeps(kept, { 'pip/b': 'two' })
    expect(second.said[0]).toMatch(HERE)
    const third = await task(kept)
    await third.cache.restore()
    expect(await content(third, 'npm/a')).toBe('one')
    expect(await content(third, 'pip/b')).toBe('two')
    expect(existsSync(path.join(third.working, 'npm/_logs'))).toBe(false)
    expect((await lstat(path.join(third.working, 'npm/_npx/link'))).isSymbolicLink()).toBe(true)
    expect((await lstat(path.join(third.working, 'npm/_npx/tool'))).mode & 0o777).toBe(0o755)
  })

  test('is used although tar leaves before the file’s last byte: it reads as far as the archive goes', async () => {
    const kept = await makeDirectory()
    await keeps(kept, { 'npm/a': 'one' })
    const file = path.join(kept, KEPT_FILE)
    await writeFile(file, gzipSync(Buffer.concat([gunzipSync(await readFile(file)), Buffer.alloc(4_000_000)])))
    const next = await task(kept)
    await next.cache.restore()
    expect(next.said).toEqual([expect.stringMatching(HERE)])
    expect(await content(next, 'npm/a')).toBe('one')
  })

  test('is not written again when an install has added nothing', async () => {
    const kept = await makeDirectory()
    await keeps(kept, { 'npm/a': 'one' })
    const before = await lstat(path.join(kept, KEPT_FILE))
    const second = await task(kept)
    await installs(second, { 'npm/a': 'one' })
    await second.cache.stop()
    expect((await lstat(path.join(kept, KEPT_FILE))).ino).toBe(before.ino)
    expect(second.said).toHaveLength(1)
  })

  test('is one whole file of one of two tasks that write at once', async () => {
    const kept = await makeDirectory()
    const both = await Promise.all(['one', 'two'].map((name) => keeps(kept, { [`npm/${name}`]: name.repeat(100_000) })))
    expect(both).toHaveLength(2)
    expect(await readdir(kept)).toEqual([KEPT_FILE])
    const next = await task(kept)
    await next.cache.restore()
    const names = await readdir(path.join(next.working, 'npm'))
    expect(names).toHaveLength(1)
    expect(await content(next, `npm/${names[0]}`)).toHaveLength(300_000)
  })

  test('above its bound is given up, so that the next start begins anew', async () => {
    const kept = await makeDirectory()
    for (const limits of [{ bytes: 20_480 }, { files: 2 }]) {
      await keeps(kept, { 'npm/a': 'one' })
      const large = await task(kept, limits)
      await installs(large, { 'npm/b': 'x'.repeat(30_000), 'npm/c': '' })
      await large.until(`${NOT_KEPT}: `)
      expect(large.said[0]).toMatch(HERE)
      await large.cache.stop()
      expect(await readdir(kept)).toEqual([])
    }
  })

  test('that would fill the disk is not unpacked', async () => {
    const kept = await makeDirectory()
    await keeps(kept, { 'npm/zeros': '\0'.repeat(10_000_000) })
    expect((await lstat(path.join(kept, KEPT_FILE))).size).toBeLessThan(100_000)
    const next = await task(kept, { bytes: 1_000_000 })
    await next.cache.restore()
    expect(next.said).toEqual([expect.stringMatching(`${UNUSABLE}: it is larger than 1000000 bytes`)])
    expect(await readdir(next.working)).toEqual([])
    expect(await readdir(path.dirname(next.working))).toEqual(['cache'])
  })

  test.each([
    ['a pipe that nobody writes to', (place: string) => void execFileSync('mkfifo', [place])],
    ['a directory', (place: string) => mkdir(place)],
    ['a link to somewhere else', (place: string) => symlink('/etc/hostname', place)],
    [
      'half of an archive',
      async (place: string) => {
        const whole = await makeDirectory()
        await keeps(whole, { 'npm/a': 'one'.repeat(1_000), 'npm/b': 'two' })
        await writeFile(place, (await readFile(path.join(whole, KEPT_FILE))).subarray(0, 150))
      },
    ],
  ])('that is %s is not used, and goes', async (_, make) => {
    const kept = await makeDirectory()
    await make(path.join(kept, KEPT_FILE))
    const next = await task(kept)
    await next.cache.restore()
    expect(next.said).toEqual([expect.stringMatching(UNUSABLE)])
    expect(await readdir(next.working)).toEqual([])
    await next.cache.stop()
    expect(await readdir(kept)).toEqual([])
  })

  test('that does not come in time is done without, and stays for the next start', async () => {
    const kept = await makeDirectory()
    await keeps(kept, { 'npm/a': 'one' })
    const late = await task(kept, { unpackMs: 0 })
    await late.cache.restore()
    expect(late.said).toEqual([`${UNUSABLE}: not done within 0 s`])
    expect(await readdir(late.working)).toEqual([])
    const next = await task(kept)
    await next.cache.restore()
    expect(await content(next, 'npm/a')).toBe('one')
  })

  test('is alone in its place: what is not of it goes, a half that may be being written stays', async () => {
    const kept = await makeDirectory()
    const outside = await makeDirectory()
    await writeTree(outside, { mine: 'mine' })
    await writeTree(kept, { 'junk/deep/file': 'x', '.packages-old.partial': 'x', '.packages-new.partial': 'x' })
    await symlink(outside, path.join(kept, 'link'))
    const old = (Date.now() - CACHE_LIMITS.leftoverMs - 1_000) / 1_000
    await utimes(path.join(kept, '.packages-old.partial'), old, old)
    const next = await task(kept)
    await next.cache.restore()
    await next.cache.tidied()
    expect(await readdir(kept)).toEqual(['.packages-new.partial'])
    expect(await readdir(outside)).toEqual(['mine'])
  })

  test('is not written while there is another install, and then is', async () => {
    const kept = await makeDirectory()
    const first = await task(kept)
    await installs(first, { 'npm/a': 'one' })
    await first.cache.installing()
    expect(await readdir(kept)).toEqual([])
    first.cache.settled()
    await first.until(KEPT)
    expect(await readdir(kept)).toEqual([KEPT_FILE])
  })

  test('is not half written when the task ends meanwhile', async () => {
    const kept = await makeDirectory()
    const first = await task(kept)
    await first.cache.restore()
    const looking = watch(kept)[Symbol.asyncIterator]()
    const begun = looking.next()
    await installs(first, { 'npm/a': 'x'.repeat(50_000_000) })
    await begun
    await first.cache.stop()
    await looking.return?.()
    expect((await readdir(kept)).filter((name) => name !== KEPT_FILE)).toEqual([])
  })
})
