import { Duration } from 'aws-cdk-lib'
import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { Construct } from 'constructs'
import type { FunctionId } from '../../shared/contracts/functions.ts'
import type { Deployment } from '../deployment.ts'
import { ALARM_PERIOD, alarm } from './alarm.ts'
import type { ControlPlaneFunction } from './control-plane-function.ts'

/** Runs a function every minute, EventBridge's shortest rate, and raises an alarm when it no longer runs. */
export class EveryMinute<F extends FunctionId> extends Construct {
  constructor(scope: Construct, id: string, deployment: Deployment, target: ControlPlaneFunction<F>) {
    super(scope, id)
    new Rule(this, 'Rule', {
      description: `Every minute: ${target.node.id}`,
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [
        new LambdaFunction(target.lambda, {
          // A run that is late by a minute has been replaced by the next.
          maxEventAge: Duration.minutes(1),
          retryAttempts: 1,
          ...(target.deadLetters === undefined ? {} : { deadLetterQueue: target.deadLetters }),
        }),
      ],
    })
    alarm(this, 'NotRunning', deployment, {
      metric: target.lambda.metricInvocations({ period: ALARM_PERIOD }),
      threshold: 1,
      when: 'lessThan',
      description: `${target.node.id} has not run for five minutes. Is its rule enabled, is the function throttled?`,
    })
  }
}
