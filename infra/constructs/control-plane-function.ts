import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Duration, Stack } from 'aws-cdk-lib'
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import {
  Architecture,
  Code,
  Function as LambdaFunction,
  LoggingFormat,
  RecursiveLoop,
  Runtime,
  Tracing,
} from 'aws-cdk-lib/aws-lambda'
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations'
import { Construct } from 'constructs'
import { type FunctionContract, type FunctionId, functions } from '../../shared/contracts/functions.ts'
import { acknowledge, acknowledgeWildcards } from '../acknowledge.ts'
import { type Deployment, logGroup, physicalName } from '../deployment.ts'
import { grants, type ResourcesFor, statementOf } from '../grants.ts'
import type { Grant } from '../resources.ts'
import { ALARM_PERIOD, alarm } from './alarm.ts'
import { DeadLetterQueue } from './dead-letter-queue.ts'

/** Errors, and refused invocations, within one alarm window that somebody should know of; single ones are in the logs and traces. */
const ALARM_COUNT = 3

export interface ControlPlaneFunctionProps<F extends FunctionId> {
  readonly deployment: Deployment
  /** The resources behind what the contract says the function uses; the type asks for exactly those. */
  readonly resources: ResourcesFor<F>
}

/**
 * One function of shared/contracts/functions.ts: its bundle, its own role with exactly the permissions and exactly the variables of
 * what it `uses`, its log group, its alarms, and for functions that nobody waits for a dead-letter queue.
 */
export class ControlPlaneFunction<F extends FunctionId> extends Construct {
  readonly lambda: LambdaFunction
  /** Holds events that could not be delivered to the function, and those that it failed on; event and schedule triggers only. */
  readonly deadLetters: DeadLetterQueue | undefined

  constructor(scope: Construct, id: F, { deployment, resources }: ControlPlaneFunctionProps<F>) {
    super(scope, id)
    const contract: FunctionContract = functions[id]
    // The props' type ties `resources` to the contract's `uses`; inside the loop the compiler cannot follow that.
    const made = contract.uses.map((capability) => (grants[capability] as (all: typeof resources) => Grant)(resources))

    const logs = logGroup(this, 'Logs', deployment.config)
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') })
    role.addToPolicy(
      new PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logs.logGroupArn] }),
    )
    for (const permission of made.flatMap((grant) => grant.permissions(Stack.of(this)))) {
      const statement = statementOf(permission)
      role.addToPolicy(statement)
      if (permission.wildcard !== undefined) acknowledgeWildcards(role, [statement], permission.wildcard)
    }
    acknowledge(role, {
      'AwsSolutions-IAM5[Resource::*]': 'X-Ray has no resources: PutTraceSegments and PutTelemetryRecords take * only.',
    })

    const directory = join(deployment.functionsDirectory, id)
    if (!existsSync(join(directory, 'index.mjs'))) {
      throw new Error(`No bundle of ${id} in ${directory}: run "npm run bundle" first.`)
    }
    const asynchronous = contract.trigger === 'event' || contract.trigger === 'schedule'
    this.deadLetters = asynchronous
      ? new DeadLetterQueue(this, 'DeadLetters', { deployment, holds: `events that ${id} could not handle` })
      : undefined

    this.lambda = new LambdaFunction(this, 'Function', {
      functionName: physicalName(deployment.config, id),
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: Code.fromAsset(directory),
      handler: 'index.handler',
      role,
      logGroup: logs,
      loggingFormat: LoggingFormat.TEXT,
      timeout: Duration.seconds(contract.timeoutSeconds),
      memorySize: contract.memoryMb,
      tracing: Tracing.ACTIVE,
      // Work that has to wait is left to the same queue again: a stop until the agents have ended, a removal step by step, a full viewer.
      // Lambda would take that for a loop and end it after 16 messages ("recursive loop detection" in its guide). Each kind has its own end.
      ...(contract.trigger === 'queue' ? { recursiveLoop: RecursiveLoop.ALLOW } : {}),
      environment: {
        STAGE: deployment.config.stage,
        POWERTOOLS_SERVICE_NAME: 'covibes-control-plane',
        LOG_LEVEL: deployment.config.logLevel,
        // Stack traces name our files and lines; costs 6 ms of a cold start (measured with on-work's bundle).
        NODE_OPTIONS: '--enable-source-maps',
        ...Object.assign({}, ...made.map((grant) => grant.environment)),
      },
      ...(this.deadLetters === undefined
        ? {}
        : {
            onFailure: new SqsDestination(this.deadLetters),
            // A schedule comes again within a minute: repeating a failed run of it would only overlap the next.
            retryAttempts: contract.trigger === 'schedule' ? 0 : 2,
            maxEventAge: contract.trigger === 'schedule' ? Duration.minutes(1) : Duration.hours(1),
          }),
    })
    this.addAlarms(id, deployment)
  }

  private addAlarms(id: FunctionId, deployment: Deployment): void {
    alarm(this, 'Errors', deployment, {
      metric: this.lambda.metricErrors({ period: ALARM_PERIOD }),
      threshold: ALARM_COUNT,
      description: `${id} throws or times out. Its log group and traces say why.`,
    })
    alarm(this, 'Throttles', deployment, {
      metric: this.lambda.metricThrottles({ period: ALARM_PERIOD }),
      threshold: ALARM_COUNT,
      description: `${id} is refused for lack of concurrency. Raise the account's Lambda concurrency or find the flood.`,
    })
  }
}
