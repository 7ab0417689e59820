import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge'
import { mockClient } from 'aws-sdk-client-mock'
import { afterEach, describe, expect, it } from 'vitest'
import { createEventBus, EventsNotPut } from '../../../shared/adapters/eventbridge/event-bus.ts'
import type { DomainEvent } from '../../../shared/contracts/domain-events.ts'

const client = new EventBridgeClient({ region: 'eu-central-1' })
const eventBridge = mockClient(client)
afterEach(() => eventBridge.reset())
const bus = createEventBus('covibes', client)

const fact = (sequence: number): DomainEvent => ({
  id: `team/${sequence}`,
  type: 'environment.status-changed',
  version: 1,
  occurredAt: '2025-03-12T19:03:58.000Z',
  correlationId: 'c',
  data: {
    teamId: 'team',
    environmentId: 'e',
    environmentType: 'agent',
    generation: 1,
    from: null,
    to: 'requested',
    cause: 'spawn-requested',
  },
})
const facts = (count: number) => Array.from({ length: count }, (_, i) => fact(i + 1))
/** Every entry is taken, but those of the given events. */
const taking = (except: readonly string[] = []) =>
  eventBridge.on(PutEventsCommand).callsFake(({ Entries }: { Entries: { Detail: string }[] }) => {
    const ids = Entries.map(({ Detail }) => String(JSON.parse(Detail).id))
    return {
      FailedEntryCount: ids.filter((id) => except.includes(id)).length,
      Entries: ids.map((id) =>
        except.includes(id)
          ? { ErrorCode: 'ThrottlingException', ErrorMessage: 'Rate exceeded' }
          : { EventId: `event-${id}` },
      ),
    }
  })
const failuresOf = async (put: Promise<void>) => {
  const error: unknown = await put.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof EventsNotPut)) throw new Error(`not EventsNotPut: ${String(error)}`)
  return error.failures
}

describe('createEventBus', () => {
  it('puts a fact as an event of ours with its own time', async () => {
    taking()
    await bus.put([fact(1)])
    const [entry] = eventBridge.commandCalls(PutEventsCommand)[0]?.args[0].input.Entries ?? []
    expect(entry).toEqual({
      EventBusName: 'covibes',
      Source: 'covibes.control-plane',
      DetailType: 'environment.status-changed',
      Time: new Date('2025-03-12T19:03:58.000Z'),
      Detail: JSON.stringify(fact(1)),
    })
  })

  it('puts pages of ten, in order, and nothing for nothing', async () => {
    taking()
    await bus.put([])
    expect(eventBridge.commandCalls(PutEventsCommand)).toHaveLength(0)
    await bus.put(facts(21))
    const pages = eventBridge.commandCalls(PutEventsCommand).map(({ args }) => args[0].input.Entries ?? [])
    expect(pages.map((page) => page.length)).toEqual([10, 10, 1])
    expect(pages.flat().map(({ Detail }) => JSON.parse(Detail ?? '').id)).toEqual(facts(21).map(({ id }) => id))
  })

  it('names the refused entries of a 200 answer', async () => {
    taking(['team/3', 'team/12'])
    expect(await failuresOf(bus.put(facts(15)))).toEqual([
      { id: 'team/3', code: 'ThrottlingException', message: 'Rate exceeded' },
      { id: 'team/12', code: 'ThrottlingException', message: 'Rate exceeded' },
    ])
  })

  it('goes on with the next page after a call that failed as a whole', async () => {
    eventBridge
      .on(PutEventsCommand)
      .rejectsOnce(Object.assign(new Error('no route'), { name: 'TimeoutError' }))
      .resolves({ FailedEntryCount: 0, Entries: [] })
    const failures = await failuresOf(bus.put(facts(12)))
    expect(failures.map(({ id, code }) => `${id} ${code}`)).toEqual(facts(10).map(({ id }) => `${id} TimeoutError`))
    expect(eventBridge.commandCalls(PutEventsCommand)).toHaveLength(2)
  })

  it('counts an entry without an answer as failed', async () => {
    eventBridge.on(PutEventsCommand).resolves({ FailedEntryCount: 1, Entries: [{ EventId: 'e' }] })
    expect(await failuresOf(bus.put(facts(2)))).toEqual([{ id: 'team/2', code: 'NoAnswer', message: '' }])
  })
})
