/** What every stack of a deployment shares. */
import { RemovalPolicy } from 'aws-cdk-lib'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import type { Construct } from 'constructs'
import type { StageConfig } from './config.ts'

export interface Deployment {
  readonly config: StageConfig
  /** Directory that holds a bundle per function: `<functionId>/index.mjs`. */
  readonly functionsDirectory: string
  /** Build context of the images: the repository root. */
  readonly imageDirectory: string
  /** Alarms go here. */
  readonly alarmTopic: ITopic
}

/** Number of days → CDK's name for it; the config admits only these. */
const RETENTION = {
  1: RetentionDays.ONE_DAY,
  7: RetentionDays.ONE_WEEK,
  30: RetentionDays.ONE_MONTH,
  90: RetentionDays.THREE_MONTHS,
  365: RetentionDays.ONE_YEAR,
} as const satisfies Record<StageConfig['logRetentionDays'], RetentionDays>

/** What becomes of data when its stack goes. */
export function removalPolicy(config: StageConfig): RemovalPolicy {
  return config.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY
}

/** A log group with the stage's retention: every log of this app is made here, so none is kept for ever. */
export function logGroup(scope: Construct, id: string, config: StageConfig): LogGroup {
  return new LogGroup(scope, id, {
    retention: RETENTION[config.logRetentionDays],
    removalPolicy: removalPolicy(config),
  })
}

/** Physical names: `covibes-<stage>-<name>`. */
export function physicalName(config: StageConfig, name: string): string {
  return `covibes-${config.stage}-${name}`
}
