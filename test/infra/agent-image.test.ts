import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, Stack } from 'aws-cdk-lib'
import { DockerImageAsset } from 'aws-cdk-lib/aws-ecr-assets'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AGENT_DOCKERFILE } from '../../infra/constructs/agent-task.ts'

const repository = join(import.meta.dirname, '..', '..')

describe("the agent image's build context, as CDK stages it", () => {
  let outdir: string
  let files: readonly string[]
  beforeAll(() => {
    outdir = mkdtempSync(join(tmpdir(), 'agent-image-'))
    const stack = new Stack(new App({ outdir }), 'Image')
    new DockerImageAsset(stack, 'Agent', { directory: repository, file: AGENT_DOCKERFILE })
    const asset = readdirSync(outdir).find((name) => name.startsWith('asset.'))
    if (asset === undefined) throw new Error(`CDK staged no asset in ${outdir}`)
    const staged = join(outdir, asset)
    files = readdirSync(staged, { recursive: true, encoding: 'utf8' }).filter((file) =>
      statSync(join(staged, file)).isFile(),
    )
  })
  afterAll(() => rmSync(outdir, { recursive: true }))

  it('holds what the Dockerfile copies', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        AGENT_DOCKERFILE,
        'package.json',
        'package-lock.json',
        'container-images/agent/package.json',
        'container-images/agent/src/main.ts',
        'shared/contracts/link.ts',
      ]),
    )
  })

  it('holds nothing whose change would make a new image for no reason', () => {
    const allowed = /^(package(-lock)?\.json|\.npmrc|\.dockerignore|container-images\/agent\/|shared\/contracts\/)/
    expect(files.filter((file) => !allowed.test(file) || file.includes('node_modules'))).toEqual([])
  })
})
