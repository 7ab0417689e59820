import { globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { WhyAnswerSchema } from '../../../shared/contracts/environments.ts'
import type { EnvironmentEvent } from '../../../shared/domain/environments/events.ts'
import type { Environment } from '../../../shared/domain/environments/schema.ts'
import { applyEvent } from '../../../shared/domain/environments/state-machine.ts'
import { BadRequest } from '../../../shared/domain/errors.ts'
import type { LedgerEntry, NewLedgerEntry } from '../../../shared/domain/ledger/schema.ts'
import { type RecordEntry, sentenceOf } from '../../../shared/domain/story/sentences.ts'
import { tellStories } from '../../../shared/domain/story/stories.ts'
import { environment, NOW, observed, spawnEntry, TASK_ARN } from '../../support/environments.ts'

const TEAM = 'team-1'
const member = { userId: 'user-1' }

/** A team's ledger, written by the state machine as the store would. */
function bench() {
  const ledger: LedgerEntry[] = []
  const records = new Map<string, Environment>()
  const append = (entry: NewLedgerEntry) => void ledger.push({ ...entry, sequence: ledger.length + 1 })
  const about = (record: Environment, from: string | null) => {
    const { id, type, generation, attempt, revision, status: to } = record
    return { teamId: TEAM, environment: { id, type, generation, attempt, revision, from, to } }
  }
  return {
    ledger,
    records,
    append,
    create(id: string) {
      const record = environment({ id })
      records.set(id, record)
      append({ ...spawnEntry, ...about(record, null) })
    },
    send(id: string, ...events: EnvironmentEvent[]) {
      for (const event of events) {
        const record = records.get(id)
        const change = record && applyEvent(record, event, { now: NOW, correlationId: `for ${event.type}` })
        if (!record || !change) throw new Error(`${event.type} changes nothing`)
        records.set(id, change.next)
        if (change.remove) records.delete(id)
        append({ ...change.entry, ...about(change.next, record.status) })
      }
    },
    deps: {
      ledger: {
        head: async () => ledger.length,
        // As DynamoDB: a page may end before its limit.
        readAfter: async (_team: string, after: number, limit: number) =>
          ledger.slice(after, after + Math.min(limit, 3)),
      },
      environments: { get: async ({ id }: { id: string }) => records.get(id) },
    },
  }
}
type Bench = ReturnType<typeof bench>
const tell = async ({ deps }: Bench, query: { limit?: number; cursor?: string } = {}) =>
  WhyAnswerSchema.parse(await tellStories(TEAM, { limit: 200, ...query }, deps))
const textsOf = (stories: { story: { text: string }[] }[]) => stories.map(({ story }) => story.map(({ text }) => text))

const claim = { type: 'start-claimed', ticketHash: 'h' } as const
const accepted = { type: 'task-accepted', taskArn: TASK_ARN } as const

describe('the story of a container', () => {
  it('is the ledger in plain words', async () => {
    const team = bench()
    team.create('one')
    team.send(
      'one',
      claim,
      { type: 'start-refused', attempt: 1, reason: 'capacity is unavailable', retry: true },
      claim,
      accepted,
      { type: 'ticket-used', keyHash: 'k' },
      { type: 'task-observed', task: observed({ version: 2 }) },
      { type: 'restart-requested', member },
      { type: 'task-observed', task: observed({ version: 9, lastStatus: 'STOPPED', stopCode: 'UserInitiated' }) },
      { type: 'stop-requested', member: { userId: 'user-2' } },
    )
    const { stories } = await tell(team)
    expect(stories).toMatchObject([{ containerId: 'one', kind: 'claude-agent', status: 'killed' }])
    expect(textsOf(stories)).toEqual([
      [
        'Ann asked for this agent.',
        'The control plane asks ECS to run it.',
        'ECS did not start it: waiting to start again (try 2 of 3): capacity is unavailable.',
        'The control plane asks ECS to run it (try 2 of 3).',
        'ECS took the order.',
        'Its container has connected.',
        'It runs.',
        'Ann asked for a restart.',
        'It has ended. It is started again (start 2).',
        'The member user-2 stopped it before it had started.',
      ],
    ])
    expect(stories[0]?.story[1]).toEqual({
      at: NOW.toISOString(),
      text: 'The control plane asks ECS to run it.',
      correlationId: 'for start-claimed',
    })
  })

  it('says why it failed', async () => {
    const team = bench()
    team.create('one')
    const dead = observed({
      lastStatus: 'STOPPED',
      stopCode: 'EssentialContainerExited',
      container: { exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' },
    })
    team.send('one', claim, accepted, { type: 'task-observed', task: observed() })
    team.send('one', { type: 'task-observed', task: { ...dead, version: 6 } })
    expect(textsOf((await tell(team)).stories)[0]?.at(-1)).toBe(
      'It failed: out of memory: OutOfMemoryError: Container killed due to memory usage.',
    )
  })

  it('is told for every container, the last one that something happened to first, deleted ones too', async () => {
    const team = bench()
    team.create('one')
    team.create('two')
    team.append({
      teamId: TEAM,
      at: NOW.toISOString(),
      actor: { kind: 'member', userId: 'user-1' },
      cause: 'delete-all-requested',
      correlationId: 'c',
    })
    team.send('one', { type: 'delete-requested', member })
    const { stories } = await tell(team)
    expect(stories.map(({ containerId, status }) => [containerId, status])).toEqual([
      ['one', 'deleted'],
      ['two', 'requested'],
    ])
    expect(textsOf(stories)[0]).toEqual(['Ann asked for this agent.', 'Ann deleted it.'])
    expect(stories[0]).not.toHaveProperty('name')
  })

  it('tells once what is said twice in a row', async () => {
    const team = bench()
    team.create('one')
    team.send('one', claim, accepted, { type: 'health-reported', status: 'unhealthy' })
    team.send('one', { type: 'health-reported', status: 'healthy' }, { type: 'ticket-used', keyHash: 'k' })
    team.send('one', { type: 'health-reported', status: 'unhealthy' })
    const health = 'Its container said that its health has changed.'
    expect(textsOf((await tell(team)).stories)[0]?.slice(-3)).toEqual([health, 'Its container has connected.', health])
  })

  it('is told in pages from the end, without a gap', async () => {
    const team = bench()
    for (let i = 0; i < 11; i++) team.create(`agent-${String(i).padStart(2, '0')}`)
    const seen: string[] = []
    let cursor: string | undefined
    let pages = 0
    do {
      const page = await tell(team, { limit: 4, ...(cursor === undefined ? {} : { cursor }) })
      seen.push(...page.stories.map(({ containerId }) => containerId))
      cursor = page.nextCursor
      pages++
      team.create(`later-${pages}`)
    } while (cursor !== undefined)
    expect(pages).toBe(3)
    expect(seen).toEqual(Array.from({ length: 11 }, (_, i) => `agent-${String(10 - i).padStart(2, '0')}`))
  })

  it('has no page behind what is kept, and none for a cursor of somebody else', async () => {
    const team = bench()
    expect(await tell(team)).toEqual({ teamId: TEAM, stories: [] })
    expect(await tell(team, { cursor: '5' })).toEqual({ teamId: TEAM, stories: [] })
    await expect(tell(team, { cursor: 'x' })).rejects.toThrow(BadRequest)
  })
})

describe('a sentence', () => {
  const entry = (fields: Partial<RecordEntry> = {}): RecordEntry => ({
    teamId: TEAM,
    sequence: 1,
    at: NOW.toISOString(),
    actor: { kind: 'control-plane' },
    cause: 'task-vanished',
    correlationId: 'c',
    environment: { id: 'a', type: 'sync', generation: 2, attempt: 1, revision: 1, from: 'running', to: 'failed' },
    ...fields,
  })
  const nameOf = () => undefined

  it.each([
    ['It counts as ended: ECS no longer knows the task.', { reason: 'ECS no longer knows the task' }],
    ['It counts as ended: It is gone!', { reason: 'It is gone!' }],
    ['The control plane caused "sold", it is failed now: why.', { cause: 'sold', reason: 'why' }],
    ['ECS caused "constructor", it is failed now.', { cause: 'constructor', actor: { kind: 'platform' } as const }],
    [
      'The existing server or an operator deleted it.',
      { cause: 'delete-requested', actor: { kind: 'member', userId: '' } as const },
    ],
  ])('%s', (text, fields) => {
    expect(sentenceOf(entry(fields), nameOf)).toBe(text)
  })

  it('quotes what the team was told', () => {
    const message = 'Work is on the branch covibes/rescue-1.'
    const chat = { content: message } as never
    expect(sentenceOf(entry({ cause: 'sync-reported', event: ['chat-message', chat] }), nameOf)).toBe(
      `Workspace sync told the team: "${message}"`,
    )
  })

  it('is there for every cause that this program writes about a record', () => {
    const OF_TEAM = ['chat-message', 'delete-all-requested']
    const sources = globSync('shared/{domain,adapters}/**/*.ts').map((file) => readFileSync(file, 'utf8'))
    const causes = sources.flatMap((text) =>
      [...text.matchAll(/\bcause: '([a-z-]+)'/g)].map(([, cause]) => cause ?? ''),
    )
    expect(causes).toContain('spawn-requested')
    for (const cause of causes.filter((found) => !OF_TEAM.includes(found)))
      expect(sentenceOf(entry({ cause }), nameOf), cause).not.toContain('caused')
  })
})
