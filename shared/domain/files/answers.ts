import type { EnvironmentRef } from '../environments/schema.ts'
import type { AnswerPart } from './parts.ts'

/** Milliseconds in which an answer is kept; whoever has asked waits for seconds. */
export const ANSWER_TTL_MS = 5 * 60_000

/**
 * Answers of containers to requests, for the function that waits for them. A container can answer only what its own record
 * was asked: the record is part of every key.
 */
export interface AnswerStore {
  /** From now on answers to this request are kept, for `ANSWER_TTL_MS`. */
  expect(ref: EnvironmentRef, requestId: string, now: Date): Promise<void>
  /** `unknown`: nobody has asked that, or not lately; nothing is kept. */
  put(ref: EnvironmentRef, part: AnswerPart, now: Date): Promise<'kept' | 'unknown'>
  /** The parts that are there. Before the first part it costs one read of one key. */
  read(ref: EnvironmentRef, requestId: string): Promise<AnswerPart[]>
}
