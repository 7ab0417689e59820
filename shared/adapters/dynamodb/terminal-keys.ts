/**
 * Keys of the terminal log table.
 *
 * | access pattern                    | how                                                       |
 * |-----------------------------------|-----------------------------------------------------------|
 * | chunks from a position on         | Query pk TERMINAL#<team>#<agent>, sk >= <position>        |
 * | the newest chunks (the log's end) | Query the same, descending, limited                       |
 * | the chunk at a position           | PutItem on condition that there is none                   |
 * | what is too old                   | Query keys below a position, BatchWriteItem of deletions  |
 */
import type { TerminalRef } from '../../domain/terminal/schema.ts'

export const terminalPartition = ({ teamId, id }: TerminalRef): string => `TERMINAL#${teamId}#${id}`
/** Sixteen digits hold every safe integer, so string order is number order. */
export const positionSort = (position: number): string => String(position).padStart(16, '0')
