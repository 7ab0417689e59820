import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { createLedgerStore } from '../../shared/adapters/dynamodb/ledger-store.ts'
import type { LedgerReader } from '../../shared/domain/ledger/ports.ts'
import type { Product } from '../support/product.ts'

/** The product's ledger, read past all functions. */
export function ledgerOf({ runtime }: Product): LedgerReader {
  const table = runtime.functionOf('spawn-agent').environment.ENVIRONMENTS_TABLE
  if (table === undefined) throw new Error('The template names no table of environments')
  const client = new DynamoDBClient({
    endpoint: runtime.dynamodb.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'load', secretAccessKey: 'load' },
  })
  return createLedgerStore(DynamoDBDocumentClient.from(client), table)
}
