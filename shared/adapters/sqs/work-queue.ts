import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { MAX_WORK_DELAY_SECONDS, type Work, WorkSchema } from '../../contracts/work.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

export interface WorkQueue {
  /**
   * Leaves work to be done, at least once and in no order, not before `delaySeconds` (rounded up; 0 to 900, what is outside
   * is brought to the nearer bound).
   */
  send(work: Work, delaySeconds?: number): Promise<void>
  /** The same for several messages, ten a request. Throws unless every one was taken; some of them may have been. */
  sendAll(work: readonly Work[], delaySeconds?: number): Promise<void>
}

/** SendMessageBatch takes ten messages. */
const BATCH = 10

const boundedDelay = (seconds: number): number => Math.min(Math.max(Math.ceil(seconds), 0), MAX_WORK_DELAY_SECONDS)

/**
 * Whose messages wait when there are more than the queue's consumer can take ("fair queues" in SQS's guide: a tenant with more than its
 * share in work gives way to all others). What tells the rooms of a team is a tenant beside it: its members' starts and stops do not wait
 * behind its own news either. Without: a tenant of its own.
 */
function tenantOf(work: Work): { MessageGroupId?: string } {
  if (work.kind === 'tell') return { MessageGroupId: `${work.news.teamId}/tell` }
  return 'teamId' in work ? { MessageGroupId: work.teamId } : {}
}

// Parsed on its way out too: a message that the consumer cannot read would be seen only in the dead letter queue.
const message = (work: Work, delaySeconds: number) => ({
  MessageBody: JSON.stringify(WorkSchema.parse(work)),
  DelaySeconds: boundedDelay(delaySeconds),
  ...tenantOf(work),
})

export function createWorkQueue(url: string, client = new SQSClient(AWS_CLIENT_DEFAULTS)): WorkQueue {
  async function sendBatch(work: readonly Work[], delaySeconds: number): Promise<void> {
    const Entries = work.map((each, n) => ({ Id: String(n), ...message(each, delaySeconds) }))
    const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }))
    const [first] = Failed
    if (first) throw new Error(`The queue refused ${Failed.length} of ${work.length} messages: ${first.Code}`)
  }

  return {
    async send(work, delaySeconds = 0) {
      await client.send(new SendMessageCommand({ QueueUrl: url, ...message(work, delaySeconds) }))
    },

    async sendAll(work, delaySeconds = 0) {
      const batches = Array.from({ length: Math.ceil(work.length / BATCH) }, (_, n) =>
        work.slice(n * BATCH, (n + 1) * BATCH),
      )
      await Promise.all(batches.map((batch) => sendBatch(batch, delaySeconds)))
    },
  }
}
