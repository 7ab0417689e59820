import { App, Tags, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
import type { StageConfig } from './config.ts'
import type { Deployment } from './deployment.ts'
import { ApiStack } from './stacks/api-stack.ts'
import { ComputeStack } from './stacks/compute-stack.ts'
import { DataStack } from './stacks/data-stack.ts'
import { EdgeStack } from './stacks/edge-stack.ts'
import { NetworkStack } from './stacks/network-stack.ts'
import { ObservabilityStack } from './stacks/observability-stack.ts'
import { PreviewsStack } from './stacks/previews-stack.ts'
import { RealtimeStack } from './stacks/realtime-stack.ts'
import { WorkspaceStack } from './stacks/workspace-stack.ts'

/** Adds the stacks of one stage to an app. Each takes only from those before it, so no two ever wait for each other (ADR-010). */
export function addControlPlane(
  app: App,
  config: StageConfig,
  directories: Pick<Deployment, 'functionsDirectory' | 'imageDirectory'>,
) {
  const id = (name: string) => `Covibes-${config.stage}-${name}`
  const observability = new ObservabilityStack(app, id('observability'), { config })
  const deployment: Deployment = { config, ...directories, alarmTopic: observability.alarmTopic }
  const data = new DataStack(app, id('data'), { deployment })
  const network = new NetworkStack(app, id('network'), { deployment })
  const workspace = new WorkspaceStack(app, id('workspace'), { deployment, network })
  const realtime = new RealtimeStack(app, id('realtime'), { deployment, data: data.resources })
  const compute = new ComputeStack(app, id('compute'), {
    deployment,
    data: data.resources,
    sockets: realtime.resources,
    network,
    workspace: workspace.resources,
  })
  const api = new ApiStack(app, id('api'), { deployment, data: data.resources, sockets: realtime.resources })
  const edge = new EdgeStack(app, id('edge'), { deployment, httpApiId: api.httpApiId, sockets: realtime.resources })
  // Without a domain there is nothing to reach previews by, and the API says so (ADR-061).
  const previews =
    config.previewDomain === undefined
      ? {}
      : {
          previews: new PreviewsStack(app, id('previews'), {
            deployment,
            domain: config.previewDomain,
            data: data.resources,
            network,
            appOrigin: edge.appOrigin,
          }),
        }
  const stacks = { observability, data, network, workspace, realtime, compute, api, edge, ...previews }
  for (const stack of Object.values(stacks)) {
    Tags.of(stack).add('application', 'covibes-control-plane')
    Tags.of(stack).add('stage', config.stage)
  }
  return stacks
}

/**
 * Behaviour that CDK changed and keeps behind flags. They stand here and not in cdk.json, which only the CDK CLI reads: an app that is
 * run by itself would otherwise make other templates than one that is deployed.
 */
export const FEATURE_FLAGS = {
  '@aws-cdk/aws-iam:minimizePolicies': true,
  '@aws-cdk/core:enablePartitionLiterals': true,
  '@aws-cdk/core:checkSecretUsage': true,
  '@aws-cdk/core:includePrefixInUniqueNameGeneration': true,
  '@aws-cdk/aws-apigateway:disableCloudWatchRole': true,
  '@aws-cdk/aws-ecs:reduceEc2FargateCloudWatchPermissions': true,
  '@aws-cdk/aws-ecs:arnFormatIncludesClusterName': true,
  '@aws-cdk/aws-events:eventsTargetQueueSameAccount': true,
  '@aws-cdk/aws-sns-subscriptions:restrictSqsDescryption': true,
  '@aws-cdk/aws-dynamodb:retainTableReplica': true,
  '@aws-cdk/core:validateAgainstDefaultRules': true,
  '@aws-cdk/core:enableAdditionalMetadataCollection': false,
} as const

export interface ControlPlaneAppProps {
  /** Where the cloud assembly goes; a temporary directory without it. */
  readonly outdir?: string
  /** CDK's own template validation costs 2 s of a 4 s synthesis; CDK_VALIDATION=false leaves it out, too. */
  readonly builtinCloudFormationValidation?: boolean
}

/** A CDK app whose synthesis fails on every finding of the AwsSolutions rules that nobody has given a reason for. */
export function controlPlaneApp(props: ControlPlaneAppProps = {}): App {
  const app = new App({ context: FEATURE_FLAGS, analyticsReporting: false, ...props })
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  return app
}
