import { DeleteCommand, type DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import type { tables } from '../../contracts/tables.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import type { TeamStore } from '../../domain/teams/ports.ts'
import { type TeamEnvironment, TeamEnvironmentSchema } from '../../domain/teams/schema.ts'
import { chatPartition } from './chat-keys.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { TEAM_REMOVING, teamFilesKey, teamKey } from './environment-keys.ts'
import { rememberedPut } from './remembered-put.ts'
import { isConditionalCheckFailed, retryWrite } from './retry-write.ts'
import { workspaceConfigKey } from './workspace-config-store.ts'

const REMOVING_PAGE = 50
/** Chat messages deleted by one step of a team's removal. */
const CHAT_PAGE = 100

const WritesSchema = z.object({ writes: z.array(z.string()) })
type Stored = { readonly team: TeamEnvironment; readonly writes: readonly string[] }

function fromItem(item: Record<string, unknown>): Stored {
  const parsed = TeamEnvironmentSchema.safeParse(item)
  const writes = WritesSchema.safeParse(item)
  if (parsed.success && writes.success) return { team: parsed.data, writes: writes.data.writes }
  const problem = parsed.error?.message ?? writes.error?.message
  throw new CorruptRecord(`team environment ${String(item.pk)}/${String(item.sk)}: ${problem}`)
}

/** Teams' environments, in the environments table. */
export function createTeamStore(client: DynamoDBDocumentClient, table: string): TeamStore {
  async function read(teamId: string): Promise<Stored | undefined> {
    const { Item } = await client.send(new GetCommand({ TableName: table, Key: teamKey(teamId), ConsistentRead: true }))
    return Item && fromItem(Item)
  }

  /** `team.revision` is that of the stored one, 0 for none. */
  function put(
    team: TeamEnvironment | (Omit<TeamEnvironment, 'revision'> & { revision: 0 }),
    writes: readonly string[],
  ) {
    const { removal, status } = team
    const removing = status === 'removing' && removal ? { statusKey: TEAM_REMOVING, updatedAt: removal.nextStepAt } : {}
    return rememberedPut(client, table, teamKey(team.teamId), { ...team, ...removing, writes })
  }

  return {
    get: async (teamId) => (await read(teamId))?.team,

    create: (team) =>
      retryWrite(async () => {
        const found = await read(team.teamId)
        if (found) return { created: false, team: found.team }
        const isMine = await put({ ...team, revision: 0 }, [])
        return isMine ? { created: true, team: { ...team, revision: 1 } } : undefined
      }),

    async change(teamId, decide) {
      const { done } = await retryWrite(async () => {
        const found = await read(teamId)
        const next = found && decide(found.team)
        if (!found || !next) return { done: found?.team }
        const { revision } = found.team
        const isMine = await put({ ...next, revision }, found.writes)
        return isMine ? { done: { ...next, revision: revision + 1 } } : undefined
      })
      return done
    },

    async remove({ teamId, incarnation }) {
      try {
        await client.send(
          new DeleteCommand({
            TableName: table,
            Key: teamKey(teamId),
            // A repeated step must not take away what was created since.
            ConditionExpression: 'incarnation = :incarnation',
            ExpressionAttributeValues: { ':incarnation': incarnation },
          }),
        )
      } catch (error) {
        if (!isConditionalCheckFailed(error)) throw error
      }
    },

    async listRemoving({ cursor }) {
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          IndexName: 'by-status' satisfies keyof typeof tables.environments.indexes,
          KeyConditionExpression: 'statusKey = :status',
          ExpressionAttributeValues: { ':status': TEAM_REMOVING },
          Limit: REMOVING_PAGE,
          ...(cursor ? { ExclusiveStartKey: decodeCursor(cursor) } : {}),
        }),
      )
      return {
        teams: Items.map((item) => fromItem(item).team),
        ...(LastEvaluatedKey ? { cursor: encodeCursor(LastEvaluatedKey) } : {}),
      }
    },

    async hasFiles(teamId) {
      const key = { TableName: table, Key: teamFilesKey(teamId), ConsistentRead: true }
      return (await client.send(new GetCommand(key))).Item !== undefined
    },

    async setHasFiles(teamId, hasFiles) {
      if (hasFiles) await client.send(new PutCommand({ TableName: table, Item: teamFilesKey(teamId) }))
      else await client.send(new DeleteCommand({ TableName: table, Key: teamFilesKey(teamId) }))
    },

    async removeSettings(teamId) {
      await client.send(new DeleteCommand({ TableName: table, Key: workspaceConfigKey(teamId) }))
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': chatPartition(teamId) },
          ProjectionExpression: 'pk, sk',
          Limit: CHAT_PAGE,
        }),
      )
      await Promise.all(
        Items.map(({ pk, sk }) => client.send(new DeleteCommand({ TableName: table, Key: { pk, sk } }))),
      )
      return LastEvaluatedKey === undefined
    },
  }
}
