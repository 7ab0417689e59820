/**
 * Workspace layouts, in the environments table.
 *
 * | access pattern | how |
 * |---|---|
 * | a team's layout | GetItem `TEAM#<team>` / `WORKSPACE_CONFIG` |
 *
 * The layout is one attribute of JSON text: a map would lose the order of keys and could not hold every number and key that a
 * client may send.
 */
import { type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { tables } from '../../contracts/tables.ts'
import { type WorkspaceConfig, WorkspaceConfigSchema } from '../../contracts/workspace.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import type { WorkspaceConfigStore } from '../../domain/workspace-config/ports.ts'
import { documentClient } from './document-client.ts'
import { teamPartition } from './environment-keys.ts'

const { partitionKey, sortKey } = tables.environments
export const workspaceConfigKey = (teamId: string) => ({
  [partitionKey]: teamPartition(teamId),
  [sortKey]: 'WORKSPACE_CONFIG',
})

const ItemSchema = z.object({ config: z.string() })

export function createWorkspaceConfigStore(
  table: string,
  client: DynamoDBDocumentClient = documentClient(),
): WorkspaceConfigStore {
  return {
    async get(teamId) {
      // Consistent: the client stores its layout and reads it back on the next load, which may be at once.
      const { Item } = await client.send(
        new GetCommand({ TableName: table, Key: workspaceConfigKey(teamId), ConsistentRead: true }),
      )
      return Item === undefined ? undefined : parsed(teamId, Item)
    },
    async put(teamId, json, at) {
      // Unconditional by contract: the last writer wins, and there is no version to compare.
      const Item = { ...workspaceConfigKey(teamId), config: json, updatedAt: at.toISOString() }
      await client.send(new PutCommand({ TableName: table, Item }))
    },
  }
}

function parsed(teamId: string, item: unknown): WorkspaceConfig {
  const found = ItemSchema.safeParse(item)
  const config = WorkspaceConfigSchema.safeParse(found.success ? jsonOrUndefined(found.data.config) : undefined)
  if (!config.success) throw new CorruptRecord(`workspace layout of team ${teamId}: ${config.error.issues[0]?.message}`)
  return config.data
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the schema refuses it
  }
}
