import { CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import {
  type Attribute,
  AttributeType,
  Billing,
  type GlobalSecondaryIndexPropsV2,
  ProjectionType,
  TableEncryptionV2,
  TableV2,
} from 'aws-cdk-lib/aws-dynamodb'
import { EventBus } from 'aws-cdk-lib/aws-events'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import { functions } from '../../shared/contracts/functions.ts'
import { type TableContract, tables } from '../../shared/contracts/tables.ts'
import { acknowledge } from '../acknowledge.ts'
import { ALARM_PERIOD, alarm } from '../constructs/alarm.ts'
import { DeadLetterQueue } from '../constructs/dead-letter-queue.ts'
import { type Deployment, physicalName, removalPolicy } from '../deployment.ts'
import type { DataResources, SecretReference, TableId } from '../resources.ts'

export interface DataStackProps {
  readonly deployment: Deployment
}

/** Deliveries of one work message before it is a dead letter; reconcile repairs within minutes what is lost by then. */
const MAX_WORK_RECEIVES = 5

/** What outlives every deployment of code: tables, secrets, the work queue and the event bus. */
export class DataStack extends Stack {
  readonly resources: DataResources

  constructor(scope: Construct, id: string, { deployment }: DataStackProps) {
    super(scope, id, { description: 'Covibes control plane: tables, secrets, work queue, event bus' })
    const { config } = deployment
    this.resources = {
      config,
      tables: {
        environments: this.table('Environments', 'environments', config),
        connections: this.table('Connections', 'connections', config),
        terminalLog: this.table('TerminalLog', 'terminalLog', config),
        previews: this.table('Previews', 'previews', config),
        flags: this.table('Flags', 'flags', config),
      },
      workQueue: this.workQueue(deployment),
      eventBus: new EventBus(this, 'Events', {
        eventBusName: physicalName(config, 'events'),
        description: 'Facts of the control plane, after they are committed',
      }),
      jwtSecret: this.jwtSecret(config),
      linkSecret: this.linkSecret(config),
      internalApiSecret: this.internalApiSecret(config),
      previewSecret: this.previewSecret(config),
      teamSecretsPrefix: `covibes/${config.stage}/teams`,
    }
    const { flags } = this.resources.tables
    new CfnOutput(this, 'FlagsTable', { value: flags.tableName, description: "Operators edit the teams' flags here" })
    new CfnOutput(this, 'JwtSecretArn', { value: this.resources.jwtSecret.secretArn })
    new CfnOutput(this, 'InternalApiSecretArn', {
      value: this.resources.internalApiSecret.secretArn,
      description: 'The existing server and operators sign requests of the internal API with it',
    })
  }

  private table(id: string, name: TableId, config: DataResources['config']): TableV2 {
    const contract: TableContract = tables[name]
    return new TableV2(this, id, {
      partitionKey: key(contract.partitionKey),
      ...(contract.sortKey === undefined ? {} : { sortKey: key(contract.sortKey) }),
      ...(contract.ttl === undefined ? {} : { timeToLiveAttribute: contract.ttl }),
      globalSecondaryIndexes: Object.entries(contract.indexes).map(([indexName, index]) =>
        indexProps(indexName, index),
      ),
      billing: Billing.onDemand(),
      encryption: TableEncryptionV2.dynamoOwnedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: config.retain,
      removalPolicy: removalPolicy(config),
    })
  }

  private workQueue(deployment: Deployment): Queue {
    const queue = new Queue(this, 'Work', {
      // Lambda refuses a shorter one than the function's timeout. AWS advises six times it; twice keeps a member's start from
      // waiting minutes after one failed call, and a message that is seen again too early changes nothing (invariant 1).
      visibilityTimeout: Duration.seconds(2 * functions['on-work'].timeoutSeconds),
      retentionPeriod: Duration.days(1),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      removalPolicy: removalPolicy(deployment.config),
      deadLetterQueue: {
        queue: new DeadLetterQueue(this, 'WorkDeadLetters', { deployment, holds: 'work that failed every time' }),
        maxReceiveCount: MAX_WORK_RECEIVES,
      },
    })
    alarm(this, 'WorkWaits', deployment, {
      metric: queue.metricApproximateAgeOfOldestMessage({ period: ALARM_PERIOD, statistic: 'Maximum' }),
      threshold: Duration.minutes(5).toSeconds(),
      description:
        'Work waits for over five minutes: agents start late. Look at on-work: its errors, throttles and RunTask answers.',
    })
    return queue
  }

  private jwtSecret(config: DataResources['config']): SecretReference {
    if (config.jwtSecretArn !== undefined) return Secret.fromSecretCompleteArn(this, 'JwtSecret', config.jwtSecretArn)
    const secret = new Secret(this, 'JwtSecret', {
      secretName: `covibes/${config.stage}/jwt-secret`,
      description:
        "The existing server's JWT_SECRET. Made with a random value that fits no token; put the real one in.",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: removalPolicy(config),
    })
    acknowledge(secret, {
      'AwsSolutions-SMG4': 'The value belongs to the existing server and changes when that server changes it.',
    })
    return secret
  }

  private linkSecret(config: DataResources['config']): SecretReference {
    const secret = new Secret(this, 'LinkSecret', {
      secretName: `covibes/${config.stage}/link-secret`,
      description: 'Link tickets are derived from it. Random; changing it voids tickets of starts that are under way.',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: removalPolicy(config),
    })
    acknowledge(secret, {
      'AwsSolutions-SMG4':
        'Tickets live ten minutes and are void after first use; a leaked secret is replaced by hand.',
    })
    return secret
  }

  private previewSecret(config: DataResources['config']): SecretReference {
    const secret = new Secret(this, 'PreviewSecret', {
      secretName: `covibes/${config.stage}/preview-secret`,
      description:
        'Tickets and cookies of previews are signed with it. Random; changing it ends visits, and the gateway reads it when it starts.',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: removalPolicy(config),
    })
    acknowledge(secret, {
      'AwsSolutions-SMG4':
        'What it signs lives a day at most, and only visits of previews depend on it; a leaked secret is replaced by hand.',
    })
    return secret
  }

  private internalApiSecret(config: DataResources['config']): SecretReference {
    const secret = new Secret(this, 'InternalApiSecret', {
      secretName: `covibes/${config.stage}/internal-api-secret`,
      description:
        'Requests of the internal API are signed with it. Random; the existing server and operators read it.',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: removalPolicy(config),
    })
    acknowledge(secret, {
      'AwsSolutions-SMG4':
        'Shared with the existing server, which takes a new value only when somebody gives it one; replaced by hand.',
    })
    return secret
  }
}

function key(name: string): Attribute {
  return { name, type: AttributeType.STRING }
}

function indexProps(indexName: string, index: TableContract['indexes'][string]): GlobalSecondaryIndexPropsV2 {
  const { projection } = index
  return {
    indexName,
    partitionKey: key(index.partitionKey),
    ...(index.sortKey === undefined ? {} : { sortKey: key(index.sortKey) }),
    ...(typeof projection === 'string'
      ? { projectionType: ProjectionType[projection] }
      : { projectionType: ProjectionType.INCLUDE, nonKeyAttributes: [...projection] }),
  }
}
