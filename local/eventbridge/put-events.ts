import { randomUUID } from 'node:crypto'
import { ACCOUNT_ID, REGION } from '../assembly/account.ts'
import { AwsError } from '../common/aws-error.ts'
import { busName } from './rules.ts'
import type { BusEvent } from './target-input.ts'

/** An entry of PutEvents. */
export interface PutEventsEntry {
  readonly Source?: string
  readonly DetailType?: string
  readonly Detail?: string
  readonly EventBusName?: string
  readonly Resources?: readonly string[]
  /** Epoch seconds. */
  readonly Time?: number
}

/** PutEvents takes at most this many entries. Source: the API reference of PutEvents. */
export const MAX_ENTRIES = 10
/**
 * Bytes that the entries of a call may have together: 1 MB since January 2026, 256 KB before.
 * Source: https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb
 */
export const MAX_TOTAL_BYTES = 1_048_576

/** The size of an entry. Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-size */
export function entrySize({ Source = '', DetailType = '', Detail = '', Resources = [], Time }: PutEventsEntry): number {
  const texts = [Source, DetailType, Detail, ...Resources]
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), Time === undefined ? 0 : 14)
}

type Refused = { readonly ErrorCode: string; readonly ErrorMessage: string }

function refuse(ErrorCode: string, ErrorMessage: string): Refused {
  return { ErrorCode, ErrorMessage }
}

function missing(name: string): Refused {
  return refuse('InvalidArgument', `Parameter ${name} is not valid. Reason: ${name} is a required argument.`)
}

/** What an entry becomes, or why it is refused; a refused entry does not hold up the others. */
function read(entry: PutEventsEntry, now: number): { event: BusEvent } | Refused {
  const { Source, DetailType, Detail, Resources = [], Time } = entry
  if (!Source) return missing('Source')
  if (!DetailType) return missing('DetailType')
  if (!Detail) return missing('Detail')
  if (/^aws\./i.test(Source)) return refuse('NotAuthorizedForSourceException', 'Not authorized for the source.')
  let detail: unknown
  try {
    detail = JSON.parse(Detail)
  } catch {
    detail = undefined
  }
  if (typeof detail !== 'object' || detail === null || Array.isArray(detail))
    return refuse('MalformedDetail', 'Detail is malformed.')
  return {
    event: {
      version: '0',
      id: randomUUID(),
      'detail-type': DetailType,
      source: Source,
      account: ACCOUNT_ID,
      time: `${new Date(Time === undefined ? now : Time * 1_000).toISOString().slice(0, 19)}Z`,
      region: REGION,
      resources: Resources,
      detail,
    },
  }
}

/** Carries PutEvents out: `put` takes each good entry, in order. Throws ValidationException for the call as a whole. */
export function putEvents(
  entries: readonly PutEventsEntry[] | undefined,
  now: number,
  put: (bus: string, event: BusEvent) => void,
): Record<string, unknown> {
  if (!entries || entries.length === 0 || entries.length > MAX_ENTRIES)
    throw new AwsError(
      'ValidationException',
      `1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and ${MAX_ENTRIES}`,
    )
  const total = entries.reduce((sum, entry) => sum + entrySize(entry), 0)
  if (total > MAX_TOTAL_BYTES)
    throw new AwsError('ValidationException', `Total size of the entries in the request is over the limit.`)
  const results = entries.map((entry) => {
    const outcome = read(entry, now)
    if (!('event' in outcome)) return outcome
    put(busName(entry.EventBusName), outcome.event)
    return { EventId: outcome.event.id }
  })
  return { FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length, Entries: results }
}
