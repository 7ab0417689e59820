/**
 * The flags table.
 *
 * | access pattern | how |
 * |---|---|
 * | what counts for a team | BatchGetItem `team#<id>` and `all` |
 * | is the table there | GetItem `all` |
 *
 * Written by operators only, with the console or `ops`.
 */
import { BatchGetCommand, type DynamoDBDocumentClient, GetCommand } from '@aws-sdk/lib-dynamodb'
import { tables } from '../../contracts/tables.ts'
import { Unavailable } from '../../domain/errors.ts'
import type { FlagStore } from '../../domain/flags/ports.ts'
import { ALL_TEAMS, teamScope } from '../../domain/flags/schema.ts'
import { documentClient } from './document-client.ts'

const KEY = tables.flags.partitionKey
/** Calls for the two items, unprocessed keys included. */
const MAX_CALLS = 3

type Item = Record<string, unknown>

export function createFlagStore(table: string, client: DynamoDBDocumentClient = documentClient()): FlagStore {
  return {
    async read(teamId) {
      const scopes = [teamScope(teamId), ALL_TEAMS]
      const found: Item[] = []
      let keys: Item[] = scopes.map((scope) => ({ [KEY]: scope }))
      for (let call = 1; keys.length > 0; call += 1) {
        if (call > MAX_CALLS) throw new Unavailable('The feature flags cannot be read right now; try again in a moment')
        const { Responses, UnprocessedKeys } = await client.send(
          new BatchGetCommand({ RequestItems: { [table]: { Keys: keys, ConsistentRead: true } } }),
        )
        found.push(...(Responses?.[table] ?? []))
        keys = UnprocessedKeys?.[table]?.Keys ?? []
      }
      const [team, all] = scopes.map((scope) => found.find((item) => item[KEY] === scope))
      return { team, all }
    },
    async readAll() {
      const { Item } = await client.send(
        new GetCommand({ TableName: table, Key: { [KEY]: ALL_TEAMS }, ConsistentRead: true }),
      )
      return Item
    },
  }
}
