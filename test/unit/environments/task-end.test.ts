import { describe, expect, it } from 'vitest'
import { describeTaskEnd } from '../../../shared/domain/environments/task-end.ts'
import { environment, NOW, observed } from '../../support/environments.ts'

const ended = (fields: Parameters<typeof observed>[0]) =>
  observed({ lastStatus: 'STOPPED', desiredStatus: 'STOPPED', ...fields })
const exited = (exitCode: number, reason?: string) =>
  ended({
    stopCode: 'EssentialContainerExited',
    stoppedReason: 'Essential container in task exited',
    container: { exitCode, reason },
  })
const onRequest = environment({ status: 'stopping', stopRequest: { userId: 'user-1', at: NOW.toISOString() } })

describe('describeTaskEnd', () => {
  it.each([
    ['exit 0', environment(), exited(0), { status: 'completed', exitCode: 0 }],
    ['exit 3', environment(), exited(3), { status: 'failed', exitCode: 3, reason: 'exit code 3' }],
    [
      'SIGKILL',
      environment(),
      exited(137),
      { status: 'killed', exitCode: 137, reason: 'killed by SIGKILL (exit code 137)' },
    ],
    [
      'SIGSEGV',
      environment(),
      exited(139),
      { status: 'failed', exitCode: 139, reason: 'crashed by SIGSEGV (exit code 139)' },
    ],
    [
      'out of memory',
      environment(),
      exited(137, 'OutOfMemoryError: Container killed due to memory usage'),
      {
        status: 'failed',
        exitCode: 137,
        reason: 'out of memory: OutOfMemoryError: Container killed due to memory usage',
      },
    ],
    [
      'no image',
      environment(),
      ended({
        stopCode: 'TaskFailedToStart',
        stoppedReason: 'CannotPullContainerError: pull access denied',
        startedAt: undefined,
      }),
      { status: 'failed', reason: 'CannotPullContainerError: pull access denied' },
    ],
    [
      'spot',
      environment(),
      ended({
        stopCode: 'SpotInterruption',
        stoppedReason: 'Your Spot Task was interrupted.',
        container: { exitCode: 143 },
      }),
      { status: 'failed', exitCode: 143, reason: 'Spot interruption: Your Spot Task was interrupted.' },
    ],
    [
      'stop on request',
      onRequest,
      ended({ stopCode: 'UserInitiated', container: { exitCode: 143 } }),
      { status: 'killed', exitCode: 143, reason: 'stopped on request' },
    ],
    ['its own end just before the stop', onRequest, exited(0), { status: 'completed', exitCode: 0 }],
    [
      'a stop from the console',
      environment(),
      ended({ stopCode: 'UserInitiated', stoppedReason: 'Task stopped by user', container: { exitCode: 0 } }),
      { status: 'killed', exitCode: 0, reason: 'Task stopped by user' },
    ],
    [
      "the program's own words",
      environment({ exitReport: { exitCode: 78, reason: 'the team has no model key' } }),
      exited(78),
      { status: 'failed', exitCode: 78, reason: 'the team has no model key (exit code 78)' },
    ],
    [
      'nothing said',
      environment(),
      ended({}),
      { status: 'failed', reason: 'the container ended without an exit code' },
    ],
  ])('%s', (_, record, task, end) => {
    expect(describeTaskEnd(record, task)).toEqual(end)
  })
})
