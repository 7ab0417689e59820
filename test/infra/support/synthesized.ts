import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Template } from 'aws-cdk-lib/assertions'
import { type StageConfig, stageConfig } from '../../../infra/config.ts'
import { AGENT_IMAGE } from '../../../infra/constructs/agent-task.ts'
import { GATEWAY_IMAGE } from '../../../infra/constructs/preview-gateway.ts'
import { PREVIEW_IMAGE } from '../../../infra/constructs/preview-task.ts'
import { SYNC_IMAGE } from '../../../infra/constructs/sync-task.ts'
import { addControlPlane, controlPlaneApp } from '../../../infra/control-plane.ts'
import { functions } from '../../../shared/contracts/functions.ts'

export type StackName = keyof ReturnType<typeof addControlPlane>

/** A resource as the template has it. */
export interface Resource {
  readonly Type: string
  // biome-ignore lint/suspicious/noExplicitAny: a CloudFormation resource has properties of any shape
  readonly Properties: Record<string, any>
  readonly DeletionPolicy?: string
  readonly UpdateReplacePolicy?: string
}

export interface Synthesized {
  readonly templates: Readonly<Record<StackName, Template>>
  /** Resources of one type over all stacks, by logical id. */
  ofType(type: string): readonly (Resource & { readonly logicalId: string; readonly stack: StackName })[]
}

export interface StandIns {
  readonly functionsDirectory: string
  readonly imageDirectory: string
  readonly outdir: string
}

/** Directories that stand in for the bundles and the image's sources, so that infra is tested without either. */
export function withStandIns<T>(use: (directories: StandIns) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'infra-test-'))
  try {
    const functionsDirectory = join(directory, 'functions')
    for (const id of Object.keys(functions)) {
      mkdirSync(join(functionsDirectory, id), { recursive: true })
      writeFileSync(join(functionsDirectory, id, 'index.mjs'), `export const handler = async () => '${id}'\n`)
    }
    const imageDirectory = join(directory, 'image')
    for (const { dockerfile } of [AGENT_IMAGE, SYNC_IMAGE, PREVIEW_IMAGE, GATEWAY_IMAGE]) {
      mkdirSync(join(imageDirectory, dirname(dockerfile)), { recursive: true })
      writeFileSync(join(imageDirectory, dockerfile), 'FROM scratch\n')
    }
    return use({ functionsDirectory, imageDirectory, outdir: join(directory, 'cdk.out') })
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Synthesizes a stage once, the AwsSolutions rules included: throws on an unacknowledged finding. */
export function synthesized(stage: string, overrides: Partial<StageConfig> = {}): Synthesized {
  return withStandIns(({ outdir, ...directories }) => {
    const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
    const stacks = addControlPlane(app, { ...stageConfig(stage), ...overrides }, directories)
    app.synth()
    const entries = Object.entries(stacks).map(([name, stack]) => [name, Template.fromStack(stack)] as const)
    const templates = Object.fromEntries(entries) as Record<StackName, Template>
    return {
      templates,
      ofType: (type) =>
        entries.flatMap(([stack, template]) =>
          Object.entries<Resource>(template.toJSON().Resources)
            .filter(([, resource]) => resource.Type === type)
            .map(([logicalId, resource]) => ({ ...resource, logicalId, stack: stack as StackName })),
        ),
    }
  })
}

/** What `read` makes of a stage's assembly, which is there only while it runs. */
export function assembled<T>(stage: string, read: (directory: string) => T): T {
  return withStandIns(({ outdir, ...directories }) => {
    const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
    addControlPlane(app, stageConfig(stage), directories)
    app.synth()
    return read(outdir)
  })
}
