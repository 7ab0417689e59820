/** Time and ids come into the domain through this, so that tests fix them. */
export interface Clock {
  now(): Date
}
export const systemClock: Clock = { now: () => new Date() }
