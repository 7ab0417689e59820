import { Validations } from 'aws-cdk-lib'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import { describe, expect, it } from 'vitest'
import { stageConfig, stages } from '../../infra/config.ts'
import { addControlPlane, controlPlaneApp } from '../../infra/control-plane.ts'
import { synthesized, withStandIns } from './support/synthesized.ts'

describe('control plane', () => {
  it.each(Object.keys(stages))('%s synthesizes without an unacknowledged finding', (stage) => {
    const previews = stageConfig(stage).previewDomain === undefined ? [] : ['previews']
    expect(Object.keys(synthesized(stage).templates)).toEqual([
      'observability',
      'data',
      'network',
      'workspace',
      'realtime',
      'compute',
      'api',
      'edge',
      ...previews,
    ])
  })

  it('deploys in one order: no stack takes from a later one', () => {
    withStandIns(({ outdir, ...directories }) => {
      const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
      const stacks = Object.values(addControlPlane(app, stageConfig('local'), directories))
      app.synth()
      for (const [position, stack] of stacks.entries()) {
        for (const dependency of stack.dependencies) expect(stacks.indexOf(dependency as never)).toBeLessThan(position)
      }
    })
  })

  it('fails the synthesis on a finding that nobody has given a reason for', () => {
    withStandIns(({ outdir, ...directories }) => {
      const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
      const { data } = addControlPlane(app, stageConfig('local'), directories)
      new Queue(data, 'Careless')
      expect(() => app.synth()).toThrow(/AwsSolutions-SQS3/)
    })
  })

  it('gives a reason a person can read for every accepted finding', () => {
    withStandIns(({ outdir, ...directories }) => {
      const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
      addControlPlane(app, stageConfig('production'), directories)
      app.synth()
      const reasons = app.node
        .findAll()
        .flatMap(({ node }) => node.metadata)
        .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
        .flatMap(({ data }) => Object.values(data as Record<string, string>))
      expect(reasons.length).toBeGreaterThan(20)
      expect(reasons.filter((reason) => reason.length < 30)).toEqual([])
    })
  })

  it('names functions when their bundles are missing', () => {
    withStandIns(({ outdir, imageDirectory }) => {
      const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
      const directories = { functionsDirectory: imageDirectory, imageDirectory }
      expect(() => addControlPlane(app, stageConfig('local'), directories)).toThrow(
        /No bundle of on-connect .*npm run bundle/,
      )
    })
  })
})
