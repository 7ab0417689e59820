/** What the control plane asked of AWS between two moments: calls by service, invocations, DynamoDB's request units. */
import type { Runtime } from '../../local/runtime.ts'

export interface Cost {
  readonly dynamodbCalls: number
  readonly readUnits: number
  readonly writeUnits: number
  /** Calls of the WebSocket management API. */
  readonly posts: number
  /** Calls of every other service. */
  readonly otherCalls: number
  readonly invocations: number
}

/** Services with a column of their own, by the names that the runtime gives them. */
const DYNAMODB = 'dynamodb'
const MANAGEMENT_API = 'apigatewaymanagementapi'
export const COST_HEAD = ['DynamoDB calls', 'read units', 'write units', 'posts', 'other calls', 'invocations'] as const

export class CostMeter {
  readonly #calls: Record<string, number> = {}

  /** For the runtime's `onTraffic`: calls to AWS are told as `service Operation`. */
  observe = (where: string): void => {
    const [service = '', operation] = where.split(' ')
    if (operation === undefined || !/^[A-Z]/.test(operation)) return
    this.#calls[service] = (this.#calls[service] ?? 0) + 1
  }

  read({ lambda, dynamodb }: Pick<Runtime, 'lambda' | 'dynamodb'>): Cost {
    const tables = Object.values(dynamodb.usage())
    const { [DYNAMODB]: dynamodbCalls = 0, [MANAGEMENT_API]: posts = 0, ...others } = this.#calls
    return {
      dynamodbCalls,
      readUnits: tables.reduce((sum, { readUnits }) => sum + readUnits, 0),
      writeUnits: tables.reduce((sum, { writeUnits }) => sum + writeUnits, 0),
      posts,
      otherCalls: Object.values(others).reduce((sum, calls) => sum + calls, 0),
      invocations: invocationsOf(lambda),
    }
  }
}

export const NO_COST: Cost = { dynamodbCalls: 0, readUnits: 0, writeUnits: 0, posts: 0, otherCalls: 0, invocations: 0 }

/** Functions that have run to their end since the start. */
export const invocationsOf = (lambda: Runtime['lambda']): number =>
  Object.values(lambda.metrics()).reduce((sum, { invocations }) => sum + invocations, 0)

/** `cost` and what lies between two readings. */
export function plus(cost: Cost, before: Cost, after: Cost): Cost {
  const total = (field: keyof Cost): number => cost[field] + after[field] - before[field]
  return {
    dynamodbCalls: total('dynamodbCalls'),
    readUnits: total('readUnits'),
    writeUnits: total('writeUnits'),
    posts: total('posts'),
    otherCalls: total('otherCalls'),
    invocations: total('invocations'),
  }
}

/** Cells under `COST_HEAD`, for each thousand of `events`. */
export const costRow = (cost: Cost, events: number): string[] =>
  [cost.dynamodbCalls, cost.readUnits, cost.writeUnits, cost.posts, cost.otherCalls, cost.invocations].map((value) =>
    Math.round((value / events) * 1000).toLocaleString('en'),
  )
