import { randomUUID } from 'node:crypto'

/**
 * Random hexadecimal digits, at most 32. Taken from UUIDs, for which Node keeps a pool; asking the system for random bytes
 * at each request takes longer than the rest of a request's bookkeeping.
 */
export function randomHex(digits: number): string {
  // Two of a UUID's digits are fixed; the 30 others are random.
  const uuid = randomUUID()
  const hex = uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(15, 18) + uuid.slice(20, 23) + uuid.slice(24)
  return digits <= hex.length ? hex.slice(0, digits) : hex + randomUUID().slice(0, digits - hex.length)
}
