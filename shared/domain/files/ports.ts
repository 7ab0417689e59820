/** What the files API needs of the world. */
import type { EnvironmentRef } from '../environments/schema.ts'
import type { ConnectionPoster, InputDeps } from '../realtime/ports.ts'
import type { TeamEnvironment } from '../teams/schema.ts'
import type { MessagePart } from './parts.ts'

/** Minutes in which an answer is of use: whoever has asked has long gone by then. */
export const ANSWER_TTL_MS = 5 * 60_000

/**
 * Answers of containers to requests, for the function that waits for them. A container can answer only what its own record
 * was asked: the record is part of every key.
 */
export interface AnswerStore {
  /** From now on answers to this request are kept, for `ANSWER_TTL_MS`. */
  expect(ref: EnvironmentRef, requestId: string, now: Date): Promise<void>
  /** `unknown`: nobody has asked that, or not lately; nothing is kept. */
  put(ref: EnvironmentRef, part: MessagePart, now: Date): Promise<'kept' | 'unknown'>
  /** The parts that are there. Before the first part it costs one read of one key. */
  read(ref: EnvironmentRef, requestId: string): Promise<MessagePart[]>
}

/** The answer of `TeamStore.get`, and sync's record in it. */
export interface FilesDeps extends InputDeps {
  readonly poster: ConnectionPoster
  readonly answers: AnswerStore
  /** Strongly consistent. */
  readonly teamOf: (teamId: string) => Promise<TeamEnvironment | undefined>
  /** The id of the team's sync record. */
  readonly syncIdOf: (team: TeamEnvironment) => string
  /** Starts workspace sync when it does not run. @throws AppError when it is not to be started now, with the reason. */
  readonly wake: (team: TeamEnvironment) => Promise<void>
  /** Notes that the team's files are in use, so that sync is not stopped as idle. */
  readonly touch: (team: TeamEnvironment, now: Date) => Promise<void>
  /** Unguessable and unique. */
  readonly newId: () => string
}
