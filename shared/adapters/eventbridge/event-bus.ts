import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge'
import { type DomainEvent, EVENT_SOURCE } from '../../contracts/domain-events.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

/** PutEvents takes at most 10 entries a call. */
const ENTRIES_PER_CALL = 10

export interface EventFailure {
  /** Of the domain event. */
  readonly id: string
  readonly code: string
  readonly message: string
}

/** Some events did not get onto the bus; the others did. Putting all of them again is safe: consumers de-duplicate by id. */
export class EventsNotPut extends Error {
  readonly failures: readonly EventFailure[]

  constructor(failures: readonly EventFailure[], cause?: unknown) {
    const [first] = failures
    const example = first ? `, the first ${first.id}: ${first.code} ${first.message}` : ''
    super(`${failures.length} events were not put on the bus${example}`, cause === undefined ? undefined : { cause })
    this.name = 'EventsNotPut'
    this.failures = failures
  }
}

export interface EventBus {
  /** @throws EventsNotPut naming every event that did not get there; all pages are tried first. */
  put(facts: readonly DomainEvent[]): Promise<void>
}

export function createEventBus(name: string, client = new EventBridgeClient(AWS_CLIENT_DEFAULTS)): EventBus {
  const toEntry = (fact: DomainEvent): PutEventsRequestEntry => ({
    EventBusName: name,
    Source: EVENT_SOURCE,
    DetailType: fact.type,
    Time: new Date(fact.occurredAt),
    Detail: JSON.stringify(fact),
  })

  /** A 200 answer may hold refused entries, each at its event's place. */
  async function putPage(page: readonly DomainEvent[]): Promise<EventFailure[]> {
    const { FailedEntryCount = 0, Entries = [] } = await client.send(
      new PutEventsCommand({ Entries: page.map(toEntry) }),
    )
    if (FailedEntryCount === 0) return []
    return page.flatMap((fact, place) => {
      const entry = Entries[place]
      if (entry?.EventId && !entry.ErrorCode) return []
      return [{ id: fact.id, code: entry?.ErrorCode ?? 'NoAnswer', message: entry?.ErrorMessage ?? '' }]
    })
  }

  return {
    async put(facts) {
      const failures: EventFailure[] = []
      let cause: unknown
      for (let start = 0; start < facts.length; start += ENTRIES_PER_CALL) {
        const page = facts.slice(start, start + ENTRIES_PER_CALL)
        try {
          failures.push(...(await putPage(page)))
        } catch (error) {
          cause = error
          const code = error instanceof Error ? error.name : 'Unknown'
          const message = error instanceof Error ? error.message : String(error)
          failures.push(...page.map((fact) => ({ id: fact.id, code, message })))
        }
      }
      if (failures.length > 0) throw new EventsNotPut(failures, cause)
    },
  }
}
