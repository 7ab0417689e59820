import type * as z from 'zod'
import type { FilesRefusalSchema } from '../../contracts/files.ts'
import { type AppError, BadRequest, FileTooLarge, NoSpace, NotFound, Unavailable, WorkspaceFailed } from '../errors.ts'

type Code = z.infer<typeof FilesRefusalSchema>

const pathDetail = (message: string) => [{ field: 'path', message }]

/** The one table from workspace sync's refusals to errors, whose statuses stand with all others in errors-to-http.ts. */
const REFUSALS: Readonly<Record<Code, (message: string) => AppError>> = {
  'invalid-path': (message) => new BadRequest(message, pathDetail(message)),
  'not-found': (message) => new NotFound(message),
  'not-a-file': (message) => new BadRequest(message, pathDetail(message)),
  'too-large': (message) => new FileTooLarge(message),
  'no-space': (message) => new NoSpace(message),
  'not-ready': (message) => new Unavailable(message, { retryAfterSeconds: 5 }),
  failed: (message) => new WorkspaceFailed(message),
}

/** Sync's words are for the member who asked. */
export const refusalOf = ({ code, message }: { code: Code; message: string }): AppError => REFUSALS[code](message)
