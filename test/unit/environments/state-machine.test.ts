import { describe, expect, it } from 'vitest'
import type { SyncReport } from '../../../shared/contracts/link.ts'
import { type ChatMessage, ChatMessageSchema } from '../../../shared/contracts/socket-events.ts'
import type { EnvironmentEvent } from '../../../shared/domain/environments/events.ts'
import { HELD_OUT_MS } from '../../../shared/domain/environments/generations.ts'
import { type Environment, type Status, StatusSchema } from '../../../shared/domain/environments/schema.ts'
import { applyEvent } from '../../../shared/domain/environments/state-machine.ts'
import { agentViewStatus, canMove, isFinal, TRANSITIONS } from '../../../shared/domain/environments/transitions.ts'
import { after, environment, NOW, observed, syncEnvironment, TASK_ARN } from '../../support/environments.ts'

const moment = { now: NOW, correlationId: 'c' }
const member = { userId: 'user-2' }
const stopped = observed({
  version: 9,
  lastStatus: 'STOPPED',
  desiredStatus: 'STOPPED',
  stopCode: 'EssentialContainerExited',
  stoppedReason: 'Essential container in task exited',
  container: { exitCode: 0 },
})

const EVENTS: Readonly<Record<string, EnvironmentEvent>> = {
  'start-claimed': { type: 'start-claimed', ticketHash: 'hash' },
  'task-accepted': { type: 'task-accepted', taskArn: TASK_ARN },
  'start-delayed': { type: 'start-delayed', reason: 'the role is being made' },
  'start-refused, final': { type: 'start-refused', attempt: 1, reason: 'no', retry: false },
  'start-refused, again': { type: 'start-refused', attempt: 1, reason: 'full', retry: true },
  'start-abandoned': { type: 'start-abandoned', reason: 'silence' },
  'observed pending': { type: 'task-observed', task: observed({ lastStatus: 'PENDING', startedAt: undefined }) },
  'observed running': { type: 'task-observed', task: observed() },
  'observed stopped': { type: 'task-observed', task: stopped },
  'observed never started': {
    type: 'task-observed',
    task: observed({
      lastStatus: 'STOPPED',
      desiredStatus: 'STOPPED',
      startedAt: undefined,
      stopCode: 'TaskFailedToStart',
      stoppedReason: 'CannotPullContainerError: no such image',
    }),
  },
  'task-vanished': { type: 'task-vanished', reason: 'gone' },
  'stop-requested': { type: 'stop-requested', member },
  'delete-requested': { type: 'delete-requested', member },
  'restart-requested': { type: 'restart-requested', member, slots: 3 },
  'stop-ordered': { type: 'stop-ordered', reason: 'nobody uses it' },
  'start-ordered': { type: 'start-ordered' },
  'delete-ordered': { type: 'delete-ordered', reason: 'the team is gone' },
  'sync-reported': { type: 'sync-reported', report: { state: 'synced' } },
  'stop-failed': { type: 'stop-failed', reason: 'throttled' },
  'ticket-used': { type: 'ticket-used', keyHash: 'key' },
  'exit-reported': { type: 'exit-reported', exit: { exitCode: 0 } },
  'health-reported': { type: 'health-reported', status: 'unhealthy' },
}

/** Where each event takes a record with a ticket and no task yet, by status; absent: it changes no status. */
const MOVES: Readonly<Record<string, Partial<Record<Status, Status>>>> = {
  'start-claimed': { requested: 'starting' },
  'start-refused, final': { requested: 'failed', starting: 'failed', running: 'failed', stopping: 'failed' },
  'start-refused, again': { requested: 'failed', running: 'failed', stopping: 'failed' },
  'start-abandoned': { requested: 'failed', starting: 'failed', running: 'failed', stopping: 'failed' },
  'observed running': { requested: 'starting', starting: 'running' },
  'observed stopped': { requested: 'starting', starting: 'running', running: 'completed', stopping: 'completed' },
  'observed never started': { requested: 'failed', starting: 'failed', running: 'failed', stopping: 'failed' },
  'task-vanished': { requested: 'failed', starting: 'failed', running: 'failed', stopping: 'failed' },
  'stop-requested': { requested: 'killed', starting: 'stopping', running: 'stopping' },
  'restart-requested': { running: 'stopping' },
  'delete-requested': { requested: 'killed', starting: 'stopping', running: 'stopping' },
  'stop-ordered': { requested: 'killed', starting: 'stopping', running: 'stopping' },
  'delete-ordered': { requested: 'killed', starting: 'stopping', running: 'stopping' },
}
const DELETES = ['delete-requested', 'delete-ordered']

describe('every status × every event', () => {
  for (const status of StatusSchema.options) {
    for (const [name, event] of Object.entries(EVENTS)) {
      it(`${status} × ${name}`, () => {
        const change = applyEvent(environment({ status }), event, moment)
        if (isFinal(status) && (name === 'restart-requested' || name === 'start-ordered')) {
          expect(change).toMatchObject({ next: { status: 'requested', generation: 2, attempt: 1 } })
          expect(change?.slots).toBe(name === 'restart-requested' ? 3 : undefined)
          expect(change?.entry.event).toMatchObject(['agent-status', { status: 'starting' }])
          return
        }
        if (isFinal(status)) {
          // Apart from its next generation, a final record only ever goes.
          expect(change?.remove ?? false).toBe(DELETES.includes(name))
          expect(change?.next.status ?? status).toBe(status)
          return
        }
        const to = change?.next.status ?? status
        expect(to).toBe(MOVES[name]?.[status] ?? status)
        if (to !== status) expect(canMove(status, to)).toBe(true)
        if (!change) return
        expect(change.next.revision).toBe(2)
        expect(change.next.slot === undefined).toBe(isFinal(to))
        const told = agentViewStatus(to) !== agentViewStatus(status)
        const expected = DELETES.includes(name) ? 'agent-deleted' : told ? 'agent-status' : undefined
        expect(change.entry.event?.[0]).toBe(expected)
      })
    }
  }
})

describe('transitions', () => {
  it('reach a final state from every live one, and leave none', () => {
    for (const [from, targets] of Object.entries(TRANSITIONS)) {
      if (targets.length > 0) expect(targets).toEqual(expect.arrayContaining(['completed', 'failed', 'killed']))
      expect(isFinal(from as Status)).toBe(targets.length === 0)
    }
  })
})

describe('task events', () => {
  const running = environment({ status: 'running', task: { arn: TASK_ARN, version: 5 } })

  it.each([
    ['an equal version', observed({ version: 5, lastStatus: 'STOPPED' })],
    ['a lower version', observed({ version: 4, lastStatus: 'STOPPED' })],
    ['another task', observed({ version: 99, lastStatus: 'STOPPED', arn: `${TASK_ARN}2` })],
  ])('%s changes nothing', (_, task) => {
    expect(applyEvent(running, { type: 'task-observed', task }, moment)).toBeUndefined()
  })

  it('an exit that is the first thing heard takes the same steps as the whole story', () => {
    const start = environment({ status: 'starting' })
    const steps: EnvironmentEvent = { type: 'task-observed', task: stopped }
    const running = after(start, steps)
    expect(running).toMatchObject({ status: 'running', startedAt: NOW.toISOString() })
    expect(after(running, steps)).toMatchObject({ status: 'completed', exitCode: 0, task: { version: 9 } })
    expect(after(running, steps, EVENTS['observed running'] as EnvironmentEvent).status).toBe('completed')
  })

  it('a task that is heard of before RunTask answered is adopted, and the answer then changes nothing', () => {
    const adopted = after(environment({ status: 'stopping' }), { type: 'task-observed', task: observed() })
    expect(adopted.task).toEqual({ arn: TASK_ARN, version: 0 })
    expect(applyEvent(adopted, { type: 'task-accepted', taskArn: TASK_ARN }, moment)).toBeUndefined()
  })
})

describe('starting', () => {
  it('a refusal that may pass begins a new attempt with a new ticket, at most three', () => {
    const refused = (attempt: number): EnvironmentEvent => ({
      type: 'start-refused',
      attempt,
      reason: 'full',
      retry: true,
    })
    const claim: EnvironmentEvent = { type: 'start-claimed', ticketHash: 'second' }
    const second = after(environment(), { type: 'start-claimed', ticketHash: 'first' }, refused(1))
    expect(second).toMatchObject({ status: 'starting', attempt: 2, reason: expect.stringContaining('full') })
    expect(second.ticket).toBeUndefined()
    const claimed = after(second, claim)
    expect(claimed.ticket?.hash).toBe('second')
    expect(applyEvent(claimed, refused(1), moment)).toBeUndefined()
    expect(after(claimed, refused(2), refused(3))).toMatchObject({ status: 'failed', attempt: 3, reason: 'full' })
  })

  it('is not claimed twice: a ticket that waits or was used stays the only one', () => {
    const claimed = after(environment(), { type: 'start-claimed', ticketHash: 'first' })
    const again: EnvironmentEvent = { type: 'start-claimed', ticketHash: 'second' }
    expect(applyEvent(claimed, again, moment)).toBeUndefined()
    expect(applyEvent(after(claimed, { type: 'ticket-used', keyHash: 'k' }), again, moment)).toBeUndefined()
  })

  it('a reason of waiting is taken off once it runs', () => {
    const waiting = environment({ status: 'starting', reason: 'waiting to start again' })
    expect(after(waiting, { type: 'task-observed', task: observed() }).reason).toBeUndefined()
  })
})

describe('deleting', () => {
  it('hides a live record at once and removes it when its task has ended, without a second word to the team', () => {
    const running = environment({ status: 'running', task: { arn: TASK_ARN, version: 5 } })
    const deleted = after(running, { type: 'delete-requested', member })
    expect(deleted).toMatchObject({ status: 'stopping', deletedAt: NOW.toISOString(), slot: 0 })
    const ended = applyEvent(
      deleted,
      { type: 'task-observed', task: { ...stopped, stopCode: 'UserInitiated' } },
      moment,
    )
    expect(ended).toMatchObject({ remove: true, next: { status: 'killed' } })
    expect(ended?.entry.event).toBeUndefined()
    expect(applyEvent(deleted, { type: 'delete-requested', member }, moment)).toBeUndefined()
  })

  it('is told even while a stop is under way', () => {
    const change = applyEvent(environment({ status: 'stopping' }), { type: 'delete-requested', member }, moment)
    expect(change).toMatchObject({ next: { status: 'stopping' }, entry: { event: ['agent-deleted', {}] } })
    expect(change?.remove ?? false).toBe(false)
  })
})

describe('restarting', () => {
  const running = environment({ status: 'running', task: { arn: TASK_ARN, version: 5 }, linkKeyHash: 'k', exitCode: 1 })
  const restart: EnvironmentEvent = { type: 'restart-requested', member, slots: 3 }
  const killed: EnvironmentEvent = { type: 'task-observed', task: { ...stopped, stopCode: 'UserInitiated' } }

  it('stops first, then begins the next generation with the same lease and nothing else of the old one', () => {
    const next = after(running, restart, killed)
    expect(next).toMatchObject({ status: 'requested', generation: 2, attempt: 1, slot: 0 })
    for (const gone of ['task', 'ticket', 'linkKeyHash', 'exitCode', 'stopRequest', 'restart', 'endedAt'] as const)
      expect(next[gone]).toBeUndefined()
  })

  it('a stop or a delete that comes after the wish to restart is what counts', () => {
    expect(after(running, restart, { type: 'stop-requested', member }, killed)).toMatchObject({
      status: 'killed',
      generation: 1,
    })
    const change = applyEvent(after(running, restart, { type: 'delete-requested', member }), killed, moment)
    expect(change).toMatchObject({ remove: true, next: { status: 'killed', generation: 1 } })
  })

  it('a restart that comes after a stop is what counts', () => {
    expect(after(running, { type: 'stop-requested', member }, restart, killed)).toMatchObject({ generation: 2 })
  })
})

describe('what the control plane orders', () => {
  const sync = syncEnvironment({ status: 'running', task: { arn: TASK_ARN, version: 5 } })
  const idle: EnvironmentEvent = { type: 'stop-ordered', reason: 'nobody uses it' }
  const killed: EnvironmentEvent = { type: 'task-observed', task: { ...stopped, stopCode: 'UserInitiated' } }
  const crashed: EnvironmentEvent = { type: 'task-observed', task: { ...stopped, container: { exitCode: 3 } } }
  const begin: EnvironmentEvent = { type: 'start-ordered' }

  it('a stop keeps its reason, and is the control plane’s in the ledger', () => {
    const change = applyEvent(sync, idle, moment)
    expect(change).toMatchObject({ next: { status: 'stopping' }, entry: { actor: { kind: 'control-plane' } } })
    expect(after(sync, idle, killed)).toMatchObject({ status: 'killed', reason: 'nobody uses it' })
    expect(after(sync, idle, { type: 'task-vanished', reason: 'gone' })).toMatchObject({ reason: 'nobody uses it' })
    expect(after(syncEnvironment(), idle)).toMatchObject({ status: 'killed', reason: 'nobody uses it' })
  })

  it('a stop does not undo a member’s restart, and a member’s restart undoes a stop', () => {
    const restart: EnvironmentEvent = { type: 'restart-requested', member }
    expect(after(sync, restart, idle, killed)).toMatchObject({ status: 'requested', generation: 2 })
    expect(after(sync, idle, restart, killed)).toMatchObject({ status: 'requested', generation: 2 })
  })

  it('starts of what has failed are counted until one holds out or a member restarts; the reason stays until it runs', () => {
    const failed = after(sync, crashed)
    expect(failed).toMatchObject({ status: 'failed', reason: 'exit code 3' })
    const again = after(failed, begin)
    expect(again).toMatchObject({
      restarts: 1,
      reason: 'started again after: exit code 3',
      requestedAt: NOW.toISOString(),
    })
    const run: EnvironmentEvent[] = [
      { type: 'start-claimed', ticketHash: 'h' },
      { type: 'task-observed', task: observed({ arn: 'next', version: 1 }) },
    ]
    const running = after(again, ...run)
    expect(running).toMatchObject({ status: 'running', restarts: 1 })
    expect(running.reason).toBeUndefined()
    const end: EnvironmentEvent = {
      type: 'task-observed',
      task: { ...stopped, arn: 'next', container: { exitCode: 3 } },
    }
    expect(after(running, end)).toMatchObject({ status: 'failed', restarts: 1 })
    const later = new Date(NOW.getTime() + HELD_OUT_MS)
    expect(applyEvent(running, end, { ...moment, now: later })?.next).not.toHaveProperty('restarts')
    expect(after(running, end, { type: 'restart-requested', member })).not.toHaveProperty('restarts')
  })

  it('a start that waits says for what, once', () => {
    const wait: EnvironmentEvent = { type: 'start-delayed', reason: 'for the access point' }
    const waiting = after(syncEnvironment(), wait)
    expect(waiting).toMatchObject({ status: 'requested', reason: 'for the access point' })
    expect(applyEvent(waiting, wait, moment)).toBeUndefined()
  })
})

describe('reports of workspace sync', () => {
  const running = syncEnvironment({ status: 'running', task: { arn: TASK_ARN, version: 5 } })
  const at = (minutes: number) => ({ ...moment, now: new Date(NOW.getTime() + minutes * 60_000) })
  const says = (record: Environment, report: SyncReport, minutes = 0) => {
    const change = applyEvent(record, { type: 'sync-reported', report }, at(minutes))
    return { record: change?.next ?? record, said: change?.entry.event?.[1] as ChatMessage | undefined, change }
  }

  it('are kept with their time; one that says the same again changes nothing', () => {
    const { record, said } = says(running, { state: 'synced', commit: 'a'.repeat(40) })
    expect(record).toMatchObject({ sync: { report: { state: 'synced', at: NOW.toISOString() } } })
    expect(said).toBeUndefined()
    expect(says(record, { commit: 'a'.repeat(40), state: 'synced' }, 5).change).toBeUndefined()
    expect(says(environment({ status: 'running' }), { state: 'synced' }).change).toBeUndefined()
  })

  it('tell members of trouble and of its end, and of the branches that keep what could not be merged', () => {
    const trouble = says(running, { state: 'unpushed', detail: 'the remote refused the key' })
    expect(ChatMessageSchema.parse(trouble.said)).toMatchObject({
      userName: 'Workspace sync',
      message: expect.stringContaining('the remote refused the key'),
    })
    const over = says(trouble.record, { state: 'synced' }, 1)
    expect(over.said?.message).toBe('The workspace is in the repository again.')
    expect(says(over.record, { state: 'synced', rescued: ['covibes/rescue/1'] }, 2).said?.message).toContain(
      'covibes/rescue/1',
    )
  })

  it('count by when they were received: an older one that is handled last tells only what it has rescued', () => {
    const later = { ...at(0), now: new Date(NOW.getTime() + 5_000) }
    const preparing: EnvironmentEvent = { type: 'sync-reported', report: { state: 'preparing' }, at: NOW }
    const newest = applyEvent(running, { type: 'sync-reported', report: { state: 'synced' } }, later)?.next ?? running
    expect(applyEvent(newest, preparing, at(1))).toBeUndefined()
    const rescue: EnvironmentEvent = { ...preparing, report: { state: 'preparing', rescued: ['covibes/rescue/1'] } }
    const change = applyEvent(newest, rescue, at(1))
    expect(change?.next).toMatchObject({ sync: { report: { state: 'synced', at: later.now.toISOString() } } })
    expect(JSON.stringify(change?.entry.event)).toContain('covibes/rescue/1')
  })

  it('do not fill the chat when a remote comes and goes', () => {
    let record: Environment = running
    const said: string[] = []
    for (let minute = 0; minute < 20; minute++) {
      const report: SyncReport = minute % 2 === 0 ? { state: 'unpushed', detail: 'away' } : { state: 'synced' }
      const next = says(record, report, minute)
      record = next.record
      if (next.said) said.push(next.said.message)
    }
    expect(said).toHaveLength(4)
    // Whoever reads the last one knows how it stands.
    expect(said.at(-1)).toBe('The workspace is in the repository again.')
  })
})
