import { CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import type { IVpc } from 'aws-cdk-lib/aws-ec2'
import { Cluster, ContainerInsights } from 'aws-cdk-lib/aws-ecs'
import { Rule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources'
import type { Construct } from 'constructs'
import { ECS_TASK_STATE_CHANGE } from '../../shared/contracts/domain-events.ts'
import { AgentTask } from '../constructs/agent-task.ts'
import { ControlPlaneFunction } from '../constructs/control-plane-function.ts'
import { PreviewTask } from '../constructs/preview-task.ts'
import { EveryMinute } from '../constructs/schedule.ts'
import { SyncTask } from '../constructs/sync-task.ts'
import type { Deployment } from '../deployment.ts'
import type { DataResources, SocketResources, TaskResources, WorkspaceResources } from '../resources.ts'

export interface ComputeStackProps {
  readonly deployment: Deployment
  readonly data: DataResources
  readonly sockets: SocketResources
  readonly network: { readonly vpc: IVpc; readonly placement: TaskResources['placement'] }
  readonly workspace: WorkspaceResources
}

/** Messages of one call: few, because a start may wait 8 s for RunTask and the others of its batch with it. */
const WORK_BATCH = 5
/** Batches at once: RunTask takes 20 calls/s, so more would only be throttled. */
const WORK_CONCURRENCY = 20

/**
 * The cluster, what runs in it, and the functions that start, watch and stop it. They share a stack because a task definition's ARN
 * changes with every revision, and CloudFormation refuses to change an exported value that is in use (ADR-010).
 */
export class ComputeStack extends Stack {
  constructor(scope: Construct, id: string, { deployment, data, sockets, network, workspace }: ComputeStackProps) {
    super(scope, id, { description: 'Covibes control plane: cluster, tasks, and the functions that run them' })
    const cluster = new Cluster(this, 'Cluster', {
      vpc: network.vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
      enableFargateCapacityProviders: true,
    })
    const linkUrl = sockets.socketStage.url
    const tasks = {
      agent: new AgentTask(this, 'AgentTask', { deployment, linkUrl }).task,
      sync: new SyncTask(this, 'SyncTask', { deployment, linkUrl }).task,
      preview: new PreviewTask(this, 'PreviewTask', { deployment, linkUrl }).task,
    }
    const resources = { ...data, ...sockets, ...workspace, cluster, tasks, placement: network.placement }

    const onWork = new ControlPlaneFunction(this, 'on-work', { deployment, resources })
    onWork.lambda.addEventSource(
      new SqsEventSource(data.workQueue, {
        batchSize: WORK_BATCH,
        maxConcurrency: WORK_CONCURRENCY,
        reportBatchItemFailures: true,
      }),
    )

    const onTaskStateChanged = new ControlPlaneFunction(this, 'on-task-state-changed', { deployment, resources })
    new Rule(this, 'TaskStateChanged', {
      description: "State changes of this cluster's tasks",
      eventPattern: {
        source: [ECS_TASK_STATE_CHANGE.source],
        detailType: [ECS_TASK_STATE_CHANGE.detailType],
        detail: { clusterArn: [cluster.clusterArn] },
      },
      targets: [
        new LambdaFunction(onTaskStateChanged.lambda, {
          // ECS forgets a stopped task after an hour; what is older tells nothing that reconcile has not found by then.
          maxEventAge: Duration.hours(1),
          retryAttempts: 20,
          ...(onTaskStateChanged.deadLetters === undefined ? {} : { deadLetterQueue: onTaskStateChanged.deadLetters }),
        }),
      ],
    })

    const reconcile = new ControlPlaneFunction(this, 'reconcile-tasks', { deployment, resources })
    new EveryMinute(this, 'ReconcileEveryMinute', deployment, reconcile)
    const sweep = new ControlPlaneFunction(this, 'sweep-outbox', { deployment, resources })
    new EveryMinute(this, 'SweepEveryMinute', deployment, sweep)
    new CfnOutput(this, 'ClusterArn', { value: cluster.clusterArn })
  }
}
