import { describe, expect, it } from 'vitest'
import type { PreviewReport } from '../../../shared/contracts/preview-link.ts'
import type { EnvironmentEvent } from '../../../shared/domain/environments/events.ts'
import { linkOrders } from '../../../shared/domain/environments/links.ts'
import { previewStatus } from '../../../shared/domain/environments/preview-state.ts'
import { type Environment, EnvironmentSchema, expectType } from '../../../shared/domain/environments/schema.ts'
import { applyEvent } from '../../../shared/domain/environments/state-machine.ts'
import { directoryItemOf } from '../../../shared/domain/previews/directory-item.ts'
import { after, environment, fixedClock, NOW, observed, previewEnvironment } from '../../support/environments.ts'

const member = { userId: 'user-1' }
const CLAIM: EnvironmentEvent = { type: 'start-claimed', ticketHash: 'hash' }
const ADDRESS = '10.0.1.17'
const running: EnvironmentEvent = { type: 'task-observed', task: observed({ address: ADDRESS }) }
const ended: EnvironmentEvent = {
  type: 'task-observed',
  task: observed({ version: 9, lastStatus: 'STOPPED', desiredStatus: 'STOPPED', stopCode: 'UserInitiated' }),
}
const report = (fields: Partial<PreviewReport> & Pick<PreviewReport, 'phase'>): EnvironmentEvent => ({
  type: 'preview-reported',
  report: { projectType: 'vite', command: 'npm run dev', ...fields },
})
const idleStop: EnvironmentEvent = { type: 'stop-ordered', reason: 'nobody visited it', isIdle: true }

const previewAfter = (...events: EnvironmentEvent[]) => expectType(after(previewEnvironment(), ...events), 'preview')
const toldBy = (record: Environment, event: EnvironmentEvent) =>
  applyEvent(record, event, { now: NOW, correlationId: 'c' })?.entry.event

describe('a preview', () => {
  it('has the address of its task as soon as ECS says it, and gives address and port up when it ends', () => {
    const pending = observed({ version: 3, lastStatus: 'PENDING', startedAt: undefined, address: ADDRESS })
    const starting = previewAfter(CLAIM, { type: 'task-observed', task: pending })
    expect(starting).toMatchObject({ status: 'starting', preview: { address: ADDRESS, port: 5000 } })
    expect(previewAfter(CLAIM, running).preview).toMatchObject({ address: ADDRESS, port: 5000 })
    const { preview } = previewAfter(CLAIM, running, report({ phase: 'ready' }), ended)
    expect(preview).not.toHaveProperty('address')
    expect(preview).not.toHaveProperty('port')
  })

  it('learns the address of a task that runs from any later event', () => {
    const without = { type: 'task-observed', task: observed() } as const
    const late = { type: 'task-observed', task: observed({ version: 6, address: ADDRESS }) } as const
    expect(previewAfter(CLAIM, without, late)).toMatchObject({ status: 'running', preview: { address: ADDRESS } })
    expect(applyEvent(previewAfter(CLAIM, without, late), late, { now: NOW, correlationId: 'c' })).toBeUndefined()
  })

  it.each([
    ['is requested', [], 'starting'],
    ['runs and has said nothing', [CLAIM, running], 'starting'],
    ['installs', [CLAIM, running, report({ phase: 'installing' })], 'starting'],
    ['answers', [CLAIM, running, report({ phase: 'ready' })], 'running'],
    ['answered before ECS said that it runs', [CLAIM, report({ phase: 'ready' }), running], 'running'],
    ['cannot run', [CLAIM, running, report({ phase: 'failed' })], 'error'],
    ['stops', [CLAIM, running, { type: 'stop-requested', member }], 'stopped'],
    ['stops to start again', [CLAIM, running, { type: 'restart-requested', member }], 'starting'],
    ['was stopped', [CLAIM, running, { type: 'stop-requested', member }, ended], 'stopped'],
    ['was stopped for idleness', [CLAIM, running, idleStop, ended], 'idle'],
    ['was not started by ECS', [CLAIM, { type: 'start-abandoned', reason: 'no answer' }], 'error'],
  ] as const)('that %s is shown as it is', (_, events, expected) => {
    expect(previewStatus(previewAfter(...(events as readonly EnvironmentEvent[])))).toBe(expected)
  })

  it('keeps what its container said last, by when the gateway received it', () => {
    const at = (ms: number) => new Date(NOW.getTime() + ms)
    const record = previewAfter(CLAIM, running, { ...report({ phase: 'ready' }), at: at(20) } as EnvironmentEvent)
    const late = { ...report({ phase: 'starting' }), at: at(10) } as EnvironmentEvent
    expect(after(record, late)).toBe(record)
    expect(applyEvent(record, report({ phase: 'ready' }), { now: at(30), correlationId: 'c' })).toBeUndefined()
    expect(after(environment(), report({ phase: 'ready' }))).toEqual(environment())
  })

  it('forgets the generation before when it starts anew, but not its label, visibility and port', () => {
    const restarting = previewAfter(
      CLAIM,
      running,
      report({ phase: 'ready' }),
      { type: 'visibility-set', member, isPublic: true },
      { type: 'restart-requested', member },
      ended,
    )
    expect(restarting).toMatchObject({ status: 'requested', generation: 2 })
    expect(restarting.preview).toEqual({ ...previewEnvironment().preview, isPublic: true })
  })

  it('is a record that can be stored, in every state', () => {
    for (const record of [previewAfter(), previewAfter(CLAIM, running, report({ phase: 'ready' }), idleStop, ended)])
      expect(EnvironmentSchema.parse(record)).toEqual(record)
  })

  it('tells its container its branch and port', async () => {
    const record = previewAfter(CLAIM, running)
    const environments = { get: async () => record } as never
    const orders = await linkOrders(record, { environments, clock: fixedClock, teams: { get: async () => undefined } })
    expect(orders).toEqual({ preview: { branch: 'workspace', port: 5000 } })
  })
})

describe('a preview that was stopped for idleness', () => {
  const idle = previewAfter(CLAIM, running, idleStop, ended)

  it('starts with the next visit', () => {
    expect(idle).toMatchObject({ status: 'killed', reason: 'nobody visited it', preview: { isIdle: true } })
    const woken = expectType(after(idle, { type: 'wake-ordered' }), 'preview')
    expect(woken).toMatchObject({ status: 'requested', generation: 2 })
    expect(woken.preview).not.toHaveProperty('isIdle')
  })

  it('starts when it has stopped, if it is visited before', () => {
    const stopping = previewAfter(CLAIM, running, idleStop, { type: 'wake-ordered' })
    expect(previewStatus(stopping)).toBe('starting')
    expect(after(stopping, ended)).toMatchObject({ status: 'requested', generation: 2 })
  })

  it('is not started by a visit once a member has stopped it, before its end or after', () => {
    const stop = { type: 'stop-requested', member } as const
    const events = [
      [idleStop, stop, ended],
      [idleStop, ended, stop],
    ] as const
    for (const order of events) {
      const record = previewAfter(CLAIM, running, ...order)
      expect(previewStatus(record)).toBe('stopped')
      expect(after(record, { type: 'wake-ordered' })).toBe(record)
    }
  })

  it('is the only one that a visit starts', () => {
    const stopped = previewAfter(CLAIM, running, { type: 'stop-requested', member }, ended)
    for (const record of [stopped, previewAfter(CLAIM, running), environment()])
      expect(after(record, { type: 'wake-ordered' })).toBe(record)
  })
})

describe('the team', () => {
  it('is told when the preview of its workspace changes for those who look at it', () => {
    const started = previewAfter(CLAIM, running)
    expect(toldBy(started, report({ phase: 'installing' }))).toBeUndefined()
    expect(toldBy(started, report({ phase: 'ready' }))).toEqual([
      'preview-status-update',
      { branch: 'workspace', status: 'running' },
    ])
    expect(toldBy(started, report({ phase: 'failed', reason: 'vite: not found' }))).toEqual([
      'preview-status-update',
      { branch: 'workspace', status: 'error', message: 'vite: not found' },
    ])
    expect(toldBy(started, { type: 'delete-ordered', reason: 'the team was removed' })).toMatchObject([
      'preview-status-update',
      { status: 'stopped' },
    ])
  })

  it('is told nothing of the others, which its frontend would take for that one', () => {
    const { preview } = previewEnvironment()
    const main = previewEnvironment({ status: 'running', preview: { ...preview, branch: 'main' } })
    expect(toldBy(main, report({ phase: 'ready' }))).toBeUndefined()
  })
})

describe('the gateway', () => {
  it('sees where to go, why not, and what was written last', () => {
    const record = previewAfter(CLAIM, running, report({ phase: 'failed', reason: 'no', lastLines: ['a', 'b'] }))
    expect(directoryItemOf(record)).toEqual({
      teamId: 'team-1',
      branch: 'workspace',
      environmentId: record.id,
      status: 'running',
      idle: false,
      public: false,
      address: ADDRESS,
      port: 5000,
      phase: 'failed',
      reason: 'no',
      lastLines: ['a', 'b'],
    })
  })

  it('sees one that stops to start again as starting, at no address', () => {
    const item = directoryItemOf(previewAfter(CLAIM, running, { type: 'restart-requested', member }))
    expect(item.status).toBe('starting')
    expect(item).not.toHaveProperty('address')
  })
})
