/**
 * Keys of the connections table (beside `PROFILE#`, profile-store.ts).
 *
 * | access pattern                       | how                                                                     |
 * |--------------------------------------|-------------------------------------------------------------------------|
 * | a session                            | GetItem  pk SESSION#<sid>, sk SESSION                                   |
 * | a team's sessions                    | Query    pk TEAM#<team>, sk between SESSION#<from> and SESSION#<to>~    |
 * | a terminal's viewers                 | Query    pk TERMINAL#<team>#<agent>, sk between the same                |
 * | what a WebSocket connection is       | GetItem  pk CONNECTION#<connectionId>, sk CONNECTION                    |
 * | open WebSockets to ping              | Query    index ping, pingKey PING#<shard>                               |
 * | a record's link                      | GetItem  pk LINK#<team>#<record>, sk LINK                               |
 * | whether a record was asked this      | GetItem  pk ANSWER#<team>#<record>#<request>, sk REQUEST                |
 * | the first part of its answer         | GetItem  pk ANSWER#<team>#<record>#<request>, sk PART#0000              |
 * | all of its answer                    | Query    pk ANSWER#<team>#<record>#<request>, sk begins_with PART#      |
 *
 * Rooms are items of the base table, read consistently: a commit that follows a join finds the row. An index would lag.
 * Team and record ids hold no `#`; `expiresAt` (epoch seconds) is the table's TTL, and what has expired counts as absent.
 */
import { createHash } from 'node:crypto'
import { PING_SHARDS } from '../../contracts/tables.ts'
import type { EnvironmentRef } from '../../domain/environments/schema.ts'
import type { Room } from '../../domain/realtime/ports.ts'
import type { Key } from './environment-keys.ts'

export const sessionKey = (sid: string): Key => ({ pk: `SESSION#${sid}`, sk: 'SESSION' })
export const connectionKey = (connectionId: string): Key => ({ pk: `CONNECTION#${connectionId}`, sk: 'CONNECTION' })
export const linkKey = ({ teamId, id }: EnvironmentRef): Key => ({ pk: `LINK#${teamId}#${id}`, sk: 'LINK' })

/** Request ids come from containers, too: only the last part of the key is theirs to choose, so no other record's is reached. */
export const answerPartition = ({ teamId, id }: EnvironmentRef, requestId: string): string =>
  `ANSWER#${teamId}#${id}#${requestId}`
export const ANSWER_PART_PREFIX = 'PART#'
export const answerRequestKey = (ref: EnvironmentRef, requestId: string): Key => ({
  pk: answerPartition(ref, requestId),
  sk: 'REQUEST',
})
export const answerPartKey = (ref: EnvironmentRef, { id, part }: { id: string; part: number }): Key => ({
  pk: answerPartition(ref, id),
  sk: `${ANSWER_PART_PREFIX}${String(part).padStart(4, '0')}`,
})

export const roomPartition = (room: Room): string =>
  room.kind === 'team' ? `TEAM#${room.teamId}` : `TERMINAL#${room.teamId}#${room.agentId}`
export const MEMBER_PREFIX = 'SESSION#'
/** Sorts behind every character of a session id (base64url). */
export const BEHIND_IDS = '~'
export const memberKey = (room: Room, sid: string): Key => ({ pk: roomPartition(room), sk: `${MEMBER_PREFIX}${sid}` })

export const pingShardKey = (shard: number): string => `PING#${shard}`
export const pingShardOf = (sid: string): number =>
  createHash('sha256').update(sid).digest().readUInt32BE(0) % PING_SHARDS
