import { createHash, createHmac } from 'node:crypto'
import type { Environment } from './schema.ts'

/**
 * The link ticket of a record's attempt. Derived, not random: a repeated RunTask must carry the same parameters, and the
 * plain ticket is stored nowhere. The record holds its hash and decides whether it may still be used.
 */
export function ticketOf(
  record: Pick<Environment, 'teamId' | 'id' | 'generation' | 'attempt'>,
  secret: string,
): string {
  const { teamId, id, generation, attempt } = record
  return createHmac('sha256', secret).update(`${teamId}/${id}/${generation}/${attempt}`).digest('base64url')
}

/** Hex SHA-256: how tickets and link keys are stored and compared. */
export const credentialHash = (credential: string): string => createHash('sha256').update(credential).digest('hex')
