/**
 * The CDK app: `node infra/app.ts`, or through the CDK CLI (cdk.json). The stage is `-c stage=…` or STAGE, else `dev`; bundles are
 * expected in .build/functions (scripts/bundle-functions.ts). CDK_OUTDIR names where the assembly goes, `cdk.out` without it.
 */
import { join } from 'node:path'
import { stageConfig } from './config.ts'
import { addControlPlane, controlPlaneApp } from './control-plane.ts'

const root = join(import.meta.dirname, '..')
const app = controlPlaneApp({ outdir: process.env.CDK_OUTDIR ?? join(root, 'cdk.out') })
const context = (key: string): unknown => app.node.tryGetContext(key)
const stage = context('stage') ?? process.env.STAGE ?? 'dev'
addControlPlane(app, stageConfig(String(stage), context, process.env), {
  functionsDirectory: process.env.FUNCTIONS_DIRECTORY ?? join(root, '.build', 'functions'),
  imageDirectory: root,
})
app.synth()
