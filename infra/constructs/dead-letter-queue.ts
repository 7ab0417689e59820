import { Duration } from 'aws-cdk-lib'
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import { acknowledge } from '../acknowledge.ts'
import { type Deployment, removalPolicy } from '../deployment.ts'
import { ALARM_PERIOD, alarm } from './alarm.ts'

export interface DeadLetterQueueProps {
  readonly deployment: Deployment
  /** What ends here, as the alarm tells it. */
  readonly holds: string
}

/** What could not be done, kept for SQS's longest time (14 days); a single message raises an alarm. */
export class DeadLetterQueue extends Queue {
  constructor(scope: Construct, id: string, { deployment, holds }: DeadLetterQueueProps) {
    super(scope, id, {
      retentionPeriod: Duration.days(14),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      removalPolicy: removalPolicy(deployment.config),
    })
    acknowledge(this, {
      'AwsSolutions-SQS3': 'It is itself the dead-letter queue: of a rule, a function or another queue.',
    })
    alarm(this, 'NotEmpty', deployment, {
      metric: this.metricApproximateNumberOfMessagesVisible({ period: ALARM_PERIOD, statistic: 'Maximum' }),
      threshold: 1,
      description: `Dead letters: ${holds}. Read them, repair the cause, redrive the queue.`,
    })
  }
}
