/** What the files API needs of the world. */
import type { InputDeps } from '../realtime/ports.ts'
import type { TeamRequest } from '../teams/operations.ts'
import type { TeamEnvironment } from '../teams/schema.ts'
import type { AnswerStore } from './answers.ts'

export interface FilesDeps extends InputDeps {
  readonly answers: AnswerStore
  /** Strongly consistent. */
  readonly teamOf: (teamId: string) => Promise<TeamEnvironment | undefined>
  /** Starts workspace sync when it does not run. Undefined: the team has no environment (any more). */
  readonly wake: (request: TeamRequest) => Promise<unknown>
  /** Notes that the team's files are in use, so that sync is not stopped as idle. */
  readonly touch: (teamId: string) => Promise<void>
  /** Unguessable and unique. */
  readonly newId: () => string
}
