/**
 * Keys of the environments table.
 *
 * | access pattern                              | how                                                          |
 * |---------------------------------------------|--------------------------------------------------------------|
 * | one record (team known from token/startedBy) | GetItem  pk TEAM#<team>, sk ENV#<id>                        |
 * | a team's records, newest first              | Query    pk TEAM#<team>, sk begins_with ENV#, descending (ids are UUIDv7) |
 * | a team's slots                              | Query    pk TEAM#<team>, sk begins_with SLOT#<type>#         |
 * | a team's environment                        | GetItem  pk TEAM#<team>, sk TEAM                             |
 * | whether a team has files                    | GetItem  pk TEAM#<team>, sk TEAM_FILES                       |
 * | environments that are being removed         | Query    index by-status, statusKey team-removing            |
 * | an idempotency key                          | GetItem  pk TEAM#<team>, sk IDEMPOTENCY#<digest>             |
 * | records by status, over all teams           | Query    index by-status, statusKey <status>                 |
 * | a team's ledger after a sequence            | Query    pk LEDGER#<team>, sk > <sequence>                   |
 * | head of a team's ledger                     | Query    pk LEDGER#<team>, descending, limit 1               |
 * | unsettled entries, over all teams           | Query    index outbox, outboxKey <shard>, outboxAt < <time>  |
 */
import { createHash } from 'node:crypto'
import { OUTBOX_SHARDS } from '../../contracts/tables.ts'
import type { EnvironmentRef, EnvironmentType } from '../../domain/environments/schema.ts'

export type Key = { readonly pk: string; readonly sk: string }

export const RECORD_PREFIX = 'ENV#'
export const teamPartition = (teamId: string): string => `TEAM#${teamId}`
export const recordKey = ({ teamId, id }: EnvironmentRef): Key => ({
  pk: teamPartition(teamId),
  sk: `${RECORD_PREFIX}${id}`,
})

export const slotPrefix = (type: EnvironmentType): string => `SLOT#${type}#`
export const slotKey = (teamId: string, type: EnvironmentType, slot: number): Key => ({
  pk: teamPartition(teamId),
  sk: `${slotPrefix(type)}${String(slot).padStart(4, '0')}`,
})

export const teamKey = (teamId: string): Key => ({ pk: teamPartition(teamId), sk: 'TEAM' })
export const teamFilesKey = (teamId: string): Key => ({ pk: teamPartition(teamId), sk: 'TEAM_FILES' })
/** In the index of records by status: environments of teams that are being removed. No record has this status. */
export const TEAM_REMOVING = 'team-removing'

/** The digest keeps a key of any length and alphabet within the sort key. */
export const idempotencyKey = (teamId: string, key: string): Key => ({
  pk: teamPartition(teamId),
  sk: `IDEMPOTENCY#${createHash('sha256').update(key).digest('hex')}`,
})

export const ledgerPartition = (teamId: string): string => `LEDGER#${teamId}`
/** Twelve digits keep string order equal to number order for 10¹² entries a team. */
export const ledgerSort = (sequence: number): string => String(sequence).padStart(12, '0')
export const ledgerKey = (teamId: string, sequence: number): Key => ({
  pk: ledgerPartition(teamId),
  sk: ledgerSort(sequence),
})

export const outboxShardKey = (shard: number): string => `OUTBOX#${shard}`
/** A team's entries stay in one shard, so a page of it keeps their order. */
export const outboxShardOf = (teamId: string): number =>
  createHash('sha256').update(teamId).digest().readUInt32BE(0) % OUTBOX_SHARDS
