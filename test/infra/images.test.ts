import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, Stack } from 'aws-cdk-lib'
import { DockerImageAsset } from 'aws-cdk-lib/aws-ecr-assets'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AGENT_IMAGE } from '../../infra/constructs/agent-task.ts'
import { GATEWAY_IMAGE } from '../../infra/constructs/preview-gateway.ts'
import { PREVIEW_IMAGE } from '../../infra/constructs/preview-task.ts'
import { SYNC_IMAGE } from '../../infra/constructs/sync-task.ts'
import { CONTAINER_USER } from '../../shared/contracts/limits.ts'

const repository = join(import.meta.dirname, '..', '..')

/** What a Dockerfile copies out of the build's context. */
function copied(dockerfile: string): readonly string[] {
  return readFileSync(join(repository, dockerfile), 'utf8')
    .split('\n')
    .filter((line) => /^COPY (?!--from)/.test(line))
    .flatMap((line) => line.split(/\s+/).slice(1, -1))
    .filter((argument) => !argument.startsWith('--'))
}

describe.each([
  ['agent', AGENT_IMAGE],
  ['workspace-sync', SYNC_IMAGE],
  ['preview', PREVIEW_IMAGE],
  ['preview-gateway', GATEWAY_IMAGE],
])('the build context of the image %s, as CDK stages it', (name, { dockerfile, notInImage }) => {
  let outdir: string
  let files: readonly string[]
  beforeAll(() => {
    outdir = mkdtempSync(join(tmpdir(), 'image-'))
    const stack = new Stack(new App({ outdir }), 'Image')
    new DockerImageAsset(stack, 'Image', { directory: repository, file: dockerfile, exclude: [...notInImage] })
    const asset = readdirSync(outdir).find((entry) => entry.startsWith('asset.'))
    if (asset === undefined) throw new Error(`CDK staged no asset in ${outdir}`)
    const staged = join(outdir, asset)
    files = readdirSync(staged, { recursive: true, encoding: 'utf8' }).filter((file) =>
      statSync(join(staged, file)).isFile(),
    )
  })
  afterAll(() => rmSync(outdir, { recursive: true }))

  it('holds what the Dockerfile copies', () => {
    const sources = copied(dockerfile)
    expect(sources).toEqual(expect.arrayContaining(['package-lock.json', `container-images/${name}/src`]))
    expect(
      sources.filter((source) => !files.some((file) => `${file}/`.startsWith(source.replace(/\/?$/, '/')))),
    ).toEqual([])
    expect(files).toContain(dockerfile)
  })

  it('is of the very Node that the project is tested on, and runs as a user that is not root', () => {
    const text = readFileSync(join(repository, dockerfile), 'utf8')
    const { devDependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
    expect(/^ARG BASE=(.*)$/m.exec(text)?.[1]).toBe(`node:${devDependencies.node}-bookworm-slim`)
    // No image beside the base, in no stage: BASE alone decides what it is made of.
    for (const [, from] of text.matchAll(/^FROM (\S+)/gm)) expect(from).toMatch(/^\$\{BASE\}$/)
    expect(/^USER (.*)$/m.exec(text)?.[1]).toBe(`${CONTAINER_USER.uid}:${CONTAINER_USER.gid}`)
  })

  it('holds nothing whose change would make a new image for no reason', () => {
    const used = [...copied(dockerfile), dockerfile, '.dockerignore'].map((source) => source.replace(/\/?$/, '/'))
    // The other image's few lines of package.json and Dockerfile; its sources are what changes.
    const rare = /^container-images\/[^/]+\/(Dockerfile|package\.json)$/
    expect(files.filter((file) => !rare.test(file) && !used.some((source) => `${file}/`.startsWith(source)))).toEqual(
      [],
    )
    expect(files.filter((file) => file.includes('node_modules'))).toEqual([])
  })
})
