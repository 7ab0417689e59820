import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { MAX_WORK_DELAY_SECONDS, type Work, WorkSchema } from '../../contracts/work.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

export interface WorkQueue {
  /**
   * Leaves work to be done, at least once and in no order, not before `delaySeconds` (rounded up; 0 to 900, what is outside
   * is brought to the nearer bound).
   */
  send(work: Work, delaySeconds?: number): Promise<void>
}

const boundedDelay = (seconds: number): number => Math.min(Math.max(Math.ceil(seconds), 0), MAX_WORK_DELAY_SECONDS)

export function createWorkQueue(url: string, client = new SQSClient(AWS_CLIENT_DEFAULTS)): WorkQueue {
  return {
    async send(work, delaySeconds = 0) {
      // Parsed on its way out too: a message that the consumer cannot read would be seen only in the dead letter queue.
      const MessageBody = JSON.stringify(WorkSchema.parse(work))
      await client.send(
        new SendMessageCommand({ QueueUrl: url, MessageBody, DelaySeconds: boundedDelay(delaySeconds) }),
      )
    },
  }
}
