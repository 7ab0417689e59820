import { type Prepared, prepare, runAction } from './dynalite.ts'
import type { Store } from './store.ts'
import type { Usage } from './usage.ts'
import { type Input, rejectDocumentComparison } from './writes.ts'

/** `GetItem`, `Query` and `Scan`. What they read is committed; an index is never behind its table. */
export async function readItems(
  store: Store,
  usage: Usage,
  operation: 'GetItem' | 'Query' | 'Scan',
  input: Input,
): Promise<Prepared> {
  const data = prepare(operation, { ...input }, store.view())
  rejectDocumentComparison(data._filter?.expression)
  const { ReturnConsumedCapacity: asked } = data
  const measured = { ...data, ReturnConsumedCapacity: asked === 'INDEXES' ? 'INDEXES' : 'TOTAL' }
  const { ConsumedCapacity, ...result } = await runAction(operation, store.view(), measured)
  usage.request(data.TableName, operation)
  usage.read(data.TableName, ConsumedCapacity.CapacityUnits)
  return asked === 'TOTAL' || asked === 'INDEXES' ? { ...result, ConsumedCapacity } : result
}

/** `BatchGetItem`. */
export async function batchGetItem(store: Store, usage: Usage, input: Input): Promise<Prepared> {
  const data = prepare('BatchGetItem', { ...input }, store.view())
  const { ReturnConsumedCapacity: asked } = data
  const measured = { ...data, ReturnConsumedCapacity: asked === 'INDEXES' ? 'INDEXES' : 'TOTAL' }
  const { ConsumedCapacity, ...result } = await runAction('BatchGetItem', store.view(), measured)
  for (const { TableName, CapacityUnits } of ConsumedCapacity) {
    usage.request(TableName, 'BatchGetItem')
    usage.read(TableName, CapacityUnits)
  }
  return asked === 'TOTAL' || asked === 'INDEXES' ? { ...result, ConsumedCapacity } : result
}
