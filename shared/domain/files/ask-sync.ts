/**
 * The files API by way of the team's workspace sync: the request goes to its link, its answer comes back over whichever
 * function received it, and is waited for here. Nothing else of the control plane touches files.
 */
import * as z from 'zod'
import {
  type FilesAnswer,
  FilesRefusalSchema,
  type FilesRequest,
  ListFilesAnswerSchema,
  ReadFileAnswerSchema,
  WriteFileAnswerSchema,
} from '../../contracts/files.ts'
import { FILES_PATIENCE_MS, LAMBDA_MAX_RESPONSE_BYTES, MAX_FILE_BYTES } from '../../contracts/limits.ts'
import type { EnvironmentRef } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import { Conflict, FileTooLarge, NotFound, Unavailable, WorkspaceFailed } from '../errors.ts'
import { dropConnection, postToLink } from '../realtime/link-input.ts'
import type { TeamRequest } from '../teams/operations.ts'
import type { TeamEnvironment } from '../teams/schema.ts'
import { syncIdOf } from '../teams/sync-record.ts'
import { encodedLength } from '../terminal/split.ts'
import { answerText, partsOf } from './parts.ts'
import type { FilesDeps } from './ports.ts'
import { refusalOf } from './refusals.ts'

/** Bytes of encoded JSON in one part: a message to a container may have 128 KB; the rest is the envelope's. */
const REQUEST_PART_BYTES = 96 * 1024

/** Milliseconds between looks at a key that somebody else will write: short at first, because sync answers in milliseconds. */
const STEPS_MS = [20, 30, 50, 80, 120, 200, 300, 500] as const

/** Milliseconds between two notes that a team's files are in use. */
const TOUCH_EVERY_MS = 60_000

/** Bytes that head and envelope of an answer take at most beside its body. */
const ENVELOPE_BYTES = 32 * 1024

const RESULTS = { list: ListFilesAnswerSchema, read: ReadFileAnswerSchema, write: WriteFileAnswerSchema } as const
export type FilesResult<O extends FilesRequest['op']> = z.infer<(typeof RESULTS)[O]>

/**
 * Asks the team's workspace sync, which is started when it does not run.
 *
 * @throws NotFound without a workspace, Conflict while it is removed or after a member stopped it, Unavailable (with what is happening) when there is no answer within
 * `FILES_PATIENCE_MS`, and what `refusalOf` makes of sync's refusal.
 */
export async function askSync<R extends FilesRequest>(
  asker: TeamRequest,
  request: R,
  deps: FilesDeps,
): Promise<FilesResult<R['op']>> {
  const { teamId } = asker
  if (request.op === 'write' && Buffer.byteLength(request.content) > MAX_FILE_BYTES) {
    throw new FileTooLarge(`A file may have ${MAX_FILE_BYTES} bytes; this is larger`)
  }
  const team = await deps.teamOf(teamId)
  if (!team) throw new NotFound('Your team has no workspace yet; it is made with the first agent')
  if (team.status === 'removing') throw isBeingRemoved()
  const startedAt = deps.clock.now()
  const ref = { teamId, id: syncIdOf(team) }
  const requestId = deps.newId()
  const message = { requestId, text: JSON.stringify(request) }
  const [text] = await Promise.all([
    exchange(asker, ref, message, startedAt.getTime() + FILES_PATIENCE_MS, deps),
    noteUse(team, startedAt, deps),
  ])
  return resultOf(request.op, text, ref, deps) as FilesResult<R['op']>
}

/** The request is answered even when this fails: the next one notes it again. */
async function noteUse(team: TeamEnvironment, now: Date, deps: FilesDeps): Promise<void> {
  if (now.getTime() - Date.parse(team.lastUsedAt) < TOUCH_EVERY_MS) return
  try {
    await deps.touch(team.teamId)
  } catch (error) {
    deps.log.warn('Use of files not noted', { teamId: team.teamId, error })
  }
}

interface Message {
  readonly requestId: string
  readonly text: string
}

/** The text of the answer. @throws Unavailable when there is none until `until` (ms). */
async function exchange(
  asker: TeamRequest,
  ref: EnvironmentRef,
  { requestId, text }: Message,
  until: number,
  deps: FilesDeps,
): Promise<string> {
  const parts = partsOf(requestId, text, REQUEST_PART_BYTES)
  if (!parts) throw new FileTooLarge('The file takes too much room when it is sent to the workspace')
  await deps.answers.expect(ref, requestId, deps.clock.now())
  for (;;) {
    const connectionId = await linkOf(asker, ref, until, deps)
    const outcome = await postAll(connectionId, parts, deps)
    if (outcome === 'sent') return answerTo(ref, requestId, until, deps)
    if (outcome === 'full')
      throw new Unavailable('The workspace is busy; try again in a moment', { retryAfterSeconds: 2 })
    // The whole request goes over the next link. Sync may have it twice: the second write says the same as the first.
    await dropConnection(ref, connectionId, outcome, deps)
  }
}

async function postAll(
  connectionId: string,
  parts: NonNullable<ReturnType<typeof partsOf>>,
  deps: FilesDeps,
): Promise<'sent' | 'gone' | 'full' | 'unclear'> {
  for (const part of parts) {
    const outcome = await postToLink(connectionId, { type: 'request', ...part }, deps)
    if (outcome !== 'sent') return outcome
  }
  return 'sent'
}

/** The connection of sync's link; wakes sync up, and waits for it. @throws Unavailable saying what sync is doing. */
async function linkOf(asker: TeamRequest, ref: EnvironmentRef, until: number, deps: FilesDeps): Promise<string> {
  const now = await deps.links.get(ref)
  if (now?.connectionId !== undefined) return now.connectionId
  const record = await deps.environments.get(ref)
  const isAsleep = !record || isFinal(record.status) || record.status === 'stopping'
  if (isAsleep && record?.stopRequest?.userId !== undefined && !record.restart) throw stoppedByMember()
  if (isAsleep && (await deps.wake(asker)) === undefined) throw isBeingRemoved()
  const connectionId = await waitFor(async () => (await deps.links.get(ref))?.connectionId, until, deps)
  if (connectionId !== undefined) return connectionId
  if (isAsleep)
    throw new Unavailable('The workspace is being woken up; this takes up to a minute', { retryAfterSeconds: 10 })
  throw record.status === 'running'
    ? new Unavailable('The workspace is reconnecting; try again in a moment', { retryAfterSeconds: 3 })
    : new Unavailable(`The workspace is starting${record.reason ? ` (${record.reason})` : ''}`, {
        retryAfterSeconds: 10,
      })
}

const isBeingRemoved = (): Conflict => new Conflict("The team's environment is being removed")

/** An editor that is open somewhere must not undo what a member has decided. */
const stoppedByMember = (): Conflict =>
  new Conflict("The team's environment was stopped by a member; it starts again with the next agent")

async function answerTo(ref: EnvironmentRef, requestId: string, until: number, deps: FilesDeps): Promise<string> {
  const look = async () => unpacked(await deps.answers.read(ref, requestId), ref, deps)
  const text = await waitFor(look, until, deps)
  if (text !== undefined) return text
  deps.log.warn('Workspace sync did not answer', { teamId: ref.teamId, environmentId: ref.id, requestId })
  throw new Unavailable('The workspace did not answer in time; try again in a moment', { retryAfterSeconds: 5 })
}

function unpacked(parts: Parameters<typeof answerText>[0], ref: EnvironmentRef, deps: FilesDeps): string | undefined {
  try {
    return answerText(parts)
  } catch (error) {
    throw unreadable(ref, String(error), deps)
  }
}

function unreadable({ teamId, id }: EnvironmentRef, problem: string, { log }: FilesDeps): WorkspaceFailed {
  log.error('Workspace sync gave an answer that cannot be read', { teamId, environmentId: id, problem })
  return new WorkspaceFailed('The workspace gave an answer that cannot be read')
}

/** What `look` finds, looked for again and again until then. */
async function waitFor<T>(
  look: () => Promise<T | undefined>,
  until: number,
  { clock, sleep }: Pick<FilesDeps, 'clock' | 'sleep'>,
): Promise<T | undefined> {
  for (let step = 0; ; step++) {
    const found = await look()
    if (found !== undefined) return found
    const left = until - clock.now().getTime()
    if (left <= 0) return undefined
    await sleep(Math.min(left, STEPS_MS[Math.min(step, STEPS_MS.length - 1)] ?? left))
  }
}

const RefusedSchema = z.object({ ok: z.literal(false), code: FilesRefusalSchema, message: z.string().max(500) })

function resultOf(op: FilesRequest['op'], text: string, ref: EnvironmentRef, deps: FilesDeps): unknown {
  // The function's answer carries it as text within JSON.
  if (encodedLength(text) > LAMBDA_MAX_RESPONSE_BYTES - ENVELOPE_BYTES)
    throw new FileTooLarge('This takes too much room to be shown')
  const schema = z.discriminatedUnion('ok', [z.object({ ok: z.literal(true), result: RESULTS[op] }), RefusedSchema])
  const answer = schema.safeParse(jsonOrUndefined(text))
  if (!answer.success) throw unreadable(ref, z.prettifyError(answer.error), deps)
  if (!answer.data.ok) throw refusalOf(answer.data satisfies FilesAnswer)
  return answer.data.result
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the schema refuses it
  }
}
