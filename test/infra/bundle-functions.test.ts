import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { bundleFunctions } from '../../scripts/bundle-functions.ts'

let root: string
let directory: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bundle-test-'))
  directory = join(root, 'out', 'functions')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

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

  it("takes the SDK's credentials from the environment and brings no other source of them", async () => {
    symlinkSync(join(import.meta.dirname, '..', '..', 'node_modules'), join(root, 'node_modules'))
    writeFileSync(
      join(root, 'sign.ts'),
      `import { SQSClient } from '@aws-sdk/client-sqs'\n` +
        `export const handler = async () => new SQSClient({ region: 'us-east-1' }).config.credentials()\n`,
    )
    await bundleFunctions({ root, directory, entries: { sign: { entry: 'sign.ts' } } })
    const file = join(directory, 'sign', 'index.mjs')
    const { handler } = await import(pathToFileURL(file).href)
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIATEST')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
    await expect(handler()).resolves.toMatchObject({ accessKeyId: 'AKIATEST', secretAccessKey: 'secret' })
    const source = readFileSync(file, 'utf8')
    const ofOthers = ['AssumeRoleWithWebIdentity', 'GetRoleCredentials', 'AWS_CONTAINER_CREDENTIALS_FULL_URI']
    expect(ofOthers.filter((text) => source.includes(text))).toEqual([])
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
