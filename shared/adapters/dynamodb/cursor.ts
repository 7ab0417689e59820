import * as z from 'zod'
import { BadRequest } from '../../domain/errors.ts'

const KeySchema = z.record(z.string(), z.union([z.string(), z.number()]))

/** A page's last key as an opaque string. */
export const encodeCursor = (key: Record<string, unknown>): string =>
  Buffer.from(JSON.stringify(KeySchema.parse(key))).toString('base64url')

/** A cursor that is not one of ours is bad input, whoever sent it. */
export function decodeCursor(cursor: string): Record<string, string | number> {
  try {
    return KeySchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()))
  } catch {
    throw new BadRequest('cursor is not one that this API has given', [{ field: 'cursor', message: 'unknown cursor' }])
  }
}
