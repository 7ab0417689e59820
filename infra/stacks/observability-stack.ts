import { CfnOutput, Stack } from 'aws-cdk-lib'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Construct } from 'constructs'
import type { StageConfig } from '../config.ts'

export interface ObservabilityStackProps {
  readonly config: StageConfig
}

/** Where alarms go. The alarms themselves stand beside what they watch (ADR-010), so this is the first stack, not the last. */
export class ObservabilityStack extends Stack {
  readonly alarmTopic: Topic

  constructor(scope: Construct, id: string, { config }: ObservabilityStackProps) {
    super(scope, id, { description: 'Covibes control plane: where alarms go' })
    this.alarmTopic = new Topic(this, 'Alarms', { enforceSSL: true })
    // A topic with a policy of its own loses the default one that lets the account's alarms publish.
    this.alarmTopic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [this.alarmTopic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    )
    if (config.alarmEmail !== undefined) this.alarmTopic.addSubscription(new EmailSubscription(config.alarmEmail))
    new CfnOutput(this, 'AlarmTopicArn', { value: this.alarmTopic.topicArn })
  }
}
