import type { Environment } from '../environments/schema.ts'

/** Milliseconds between two starts that the control plane tries by itself: 2 s, 4 s, 8 s … at most this. */
const LONGEST_MS = 5 * 60_000

/** Whether a record that has ended may be begun anew: the more starts did not hold out, the later. */
export function isRestartDue({ endedAt, updatedAt, restarts = 0 }: Environment, now: Date): boolean {
  const pause = Math.min(1000 * 2 ** (restarts + 1), LONGEST_MS)
  return now.getTime() - Date.parse(endedAt ?? updatedAt) >= pause
}
