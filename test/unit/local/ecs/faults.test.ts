import { ListTasksCommand, RunTaskCommand, StopTaskCommand } from '@aws-sdk/client-ecs'
import { expect, test } from 'vitest'
import { createFaults } from '../../../../local/faults/faults.ts'
import { detailsOf, RUN_INPUT, runOne, startEcs, stopped } from './support.ts'

const FOREVER = 'console.log("up"); setInterval(() => {}, 1000)'
const cluster = 'containers'

async function start(program = FOREVER) {
  const faults = createFaults()
  const started = await startEcs(program, { faults })
  const list = async () => (await started.client.send(new ListTasksCommand({ cluster }))).taskArns ?? []
  return { ...started, faults, list }
}

test('RunTask throttled, failing, refused: nothing is created', async () => {
  const { client, faults, list } = await start()
  faults.runTask.add({ kind: 'throttle' }, { times: 1 })
  await expect(runOne(client)).rejects.toMatchObject({ name: 'ThrottlingException', message: 'Rate exceeded' })
  faults.runTask.add({ kind: 'server-error' }, { times: 1 })
  await expect(runOne(client)).rejects.toMatchObject({ name: 'ServerException', $metadata: { httpStatusCode: 500 } })
  faults.runTask.add({ kind: 'refuse' }, { times: 1 })
  await expect(client.send(new RunTaskCommand(RUN_INPUT))).resolves.toMatchObject({
    tasks: [],
    failures: [
      { reason: 'Capacity is unavailable at this time. Please try again later or in a different availability zone' },
    ],
  })
  faults.runTask.add({ kind: 'refuse', reason: 'RESOURCE:MEMORY' }, { times: 1 })
  await expect(client.send(new RunTaskCommand(RUN_INPUT))).resolves.toMatchObject({
    failures: [{ reason: 'RESOURCE:MEMORY' }],
  })
  expect(await list()).toEqual([])
  await runOne(client)
  expect(await list()).toHaveLength(1)
})

test('RunTask hangs: the caller gives up, nothing is created', async () => {
  const { client, faults, list } = await start()
  faults.runTask.add({ kind: 'hang' }, { times: 1 })
  const giveUp = AbortSignal.timeout(50)
  await expect(client.send(new RunTaskCommand(RUN_INPUT), { abortSignal: giveUp })).rejects.toMatchObject({
    name: 'AbortError',
  })
  expect(await list()).toEqual([])
})

test('a lost answer leaves a task, which the same token finds', async () => {
  const { client, faults, list } = await start()
  faults.runTask.add({ kind: 'lose-answer' }, { times: 1 })
  await expect(runOne(client, { clientToken: 'a' })).rejects.toThrow()
  const [arn] = await list()
  expect((await runOne(client, { clientToken: 'a' })).taskArn).toBe(arn)
  expect(await list()).toEqual([arn])
})

test('a fault can be for one record only', async () => {
  const { client, faults } = await start()
  faults.runTask.add({ kind: 'throttle' }, { where: ({ startedBy }) => startedBy === 'unlucky' })
  await expect(runOne(client, { startedBy: 'unlucky' })).rejects.toMatchObject({ name: 'ThrottlingException' })
  await runOne(client, { startedBy: 'lucky' })
})

test('an image that cannot be pulled', async () => {
  const { client, faults, events, until } = await start()
  faults.start.add({ kind: 'image-pull' }, { times: 1, where: ({ startedBy }) => startedBy === 'a' })
  const { taskArn } = await runOne(client, { startedBy: 'a' })
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    stopCode: 'TaskFailedToStart',
    stoppedReason: expect.stringMatching(/^CannotPullContainerError: /),
    containers: [{ reason: expect.stringMatching(/^CannotPullContainerError: /) }],
  })
})

test('a task that stays in PROVISIONING can be stopped', async () => {
  const { client, faults, events, until } = await start()
  faults.start.add({ kind: 'stay' }, { times: 1 })
  const stuck = await runOne(client)
  const other = await runOne(client)
  await until(() => detailsOf(events, other.taskArn).find((detail) => detail.lastStatus === 'RUNNING'))
  expect(detailsOf(events, stuck.taskArn)).toHaveLength(1)
  await client.send(new StopTaskCommand({ cluster, task: stuck.taskArn }))
  expect(await until(() => stopped(events, stuck.taskArn))).toMatchObject({ stopCode: 'UserInitiated' })
})

test('StopTask fails: the task runs on; its answer is lost: the task stops', async () => {
  const { client, faults, events, until } = await start()
  const { taskArn } = await runOne(client)
  const stop = () => client.send(new StopTaskCommand({ cluster, task: taskArn }))
  faults.stopTask.add({ kind: 'throttle' }, { times: 1 })
  await expect(stop()).rejects.toMatchObject({ name: 'ThrottlingException' })
  faults.stopTask.add({ kind: 'server-error' }, { times: 1 })
  await expect(stop()).rejects.toMatchObject({ name: 'ServerException' })
  expect(detailsOf(events, taskArn).every((detail) => detail.desiredStatus === 'RUNNING')).toBe(true)
  faults.stopTask.add({ kind: 'lose-answer' }, { times: 1 })
  await expect(stop()).rejects.toThrow()
  await until(() => stopped(events, taskArn))
})

test('events are lost, doubled and reordered on demand', async () => {
  const { client, faults, events, until } = await start('')
  const isOf = (status: string) => (event: unknown) =>
    (event as { detail: { lastStatus: string } }).detail.lastStatus === status
  faults.events.add({ kind: 'lose' }, { where: isOf('RUNNING') })
  faults.events.add({ kind: 'double' }, { where: isOf('STOPPED') })
  const { taskArn } = await runOne(client)
  await until(() => detailsOf(events, taskArn).filter((detail) => detail.lastStatus === 'STOPPED').length === 2)
  expect(detailsOf(events, taskArn).map((detail) => detail.version)).toEqual([1, 2, 4, 5, 5])

  faults.reset()
  faults.events.add({ kind: 'reorder', window: 5 })
  const second = await runOne(client)
  await until(() => detailsOf(events, second.taskArn).length === 5)
  const versions = detailsOf(events, second.taskArn).map((detail) => Number(detail.version))
  expect(versions).not.toEqual([1, 2, 3, 4, 5])
  expect([...versions].sort()).toEqual([1, 2, 3, 4, 5])
})
