import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bundleFunctions } from '../../scripts/bundle-functions.ts'

let root: string
let directory: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bundle-test-'))
  directory = join(root, 'out', 'functions')
})
afterEach(() => rmSync(root, { recursive: true }))

const entries = { greet: { entry: 'greet.ts' }, refuse: { entry: 'refuse.ts' } }

function writeEntries() {
  writeFileSync(
    join(root, 'shared.ts'),
    `export class Refusal extends Error {}\nexport const hello: string = 'hello'\n`,
  )
  writeFileSync(
    join(root, 'greet.ts'),
    `import { hello } from './shared.ts'\nexport const handler = async () => hello\n`,
  )
  writeFileSync(
    join(root, 'refuse.ts'),
    `import { createRequire } from 'node:module'\nimport { Refusal } from './shared.ts'\n` +
      `export const handler = async () => [new Refusal().constructor.name, typeof createRequire, typeof require]\n`,
  )
}

describe('bundleFunctions', () => {
  it('makes a module of its own for every function', async () => {
    writeEntries()
    const sizes = await bundleFunctions({ root, directory, entries })
    expect(Object.keys(sizes)).toEqual(['greet', 'refuse'])
    const { handler } = await import(pathToFileURL(join(directory, 'greet', 'index.mjs')).href)
    await expect(handler()).resolves.toBe('hello')
  })

  it('keeps class names and gives CommonJS packages a require', async () => {
    writeEntries()
    await bundleFunctions({ root, directory, entries })
    const { handler } = await import(pathToFileURL(join(directory, 'refuse', 'index.mjs')).href)
    await expect(handler()).resolves.toEqual(['Refusal', 'function', 'function'])
  })

  it('replaces the bundles of before as a whole and leaves nothing beside them', async () => {
    writeEntries()
    await bundleFunctions({ root, directory, entries })
    await bundleFunctions({ root, directory, entries: { greet: entries.greet } })
    expect(readdirSync(join(root, 'out'))).toEqual(['functions'])
    expect(readdirSync(directory)).toEqual(['greet'])
  })

  it('names every entry that is missing, and keeps the bundles of before', async () => {
    writeEntries()
    await bundleFunctions({ root, directory, entries })
    const more = { ...entries, lost: { entry: 'lost.ts' }, gone: { entry: 'gone.ts' } }
    await expect(bundleFunctions({ root, directory, entries: more })).rejects.toThrow(
      /lost: lost\.ts\n {2}gone: gone\.ts/,
    )
    expect(readdirSync(directory)).toEqual(['greet', 'refuse'])
  })
})
