import { Duration } from 'aws-cdk-lib'
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { Construct } from 'constructs'
import type { Deployment } from '../deployment.ts'

/** The window of every alarm: short enough to be told soon, long enough for one-minute schedules to appear in it. */
export const ALARM_PERIOD = Duration.minutes(5)

export interface AlarmProps {
  readonly metric: IMetric
  /** For a person who is woken by it: what is wrong and where to look. */
  readonly description: string
  readonly threshold: number
  /** `atLeast` (the default) when much of it is bad; `lessThan` when its absence is, and then no data is alarming too. */
  readonly when?: 'atLeast' | 'lessThan'
}

/** An alarm over one window of {@link ALARM_PERIOD} that tells the deployment's topic when it starts and when it ends. */
export function alarm(scope: Construct, id: string, deployment: Deployment, props: AlarmProps): Alarm {
  const absence = props.when === 'lessThan'
  const made = new Alarm(scope, id, {
    metric: props.metric,
    alarmDescription: props.description,
    threshold: props.threshold,
    evaluationPeriods: 1,
    comparisonOperator: absence
      ? ComparisonOperator.LESS_THAN_THRESHOLD
      : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    treatMissingData: absence ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
  })
  const action = new SnsAction(deployment.alarmTopic)
  made.addAlarmAction(action)
  made.addOkAction(action)
  return made
}
