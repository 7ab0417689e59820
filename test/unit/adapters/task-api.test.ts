import {
  ClientException,
  ConflictException,
  DescribeTasksCommand,
  ECSClient,
  InvalidParameterException,
  ListTasksCommand,
  RunTaskCommand,
  ServerException,
  StopTaskCommand,
} from '@aws-sdk/client-ecs'
import { mockClient } from 'aws-sdk-client-mock'
import { beforeEach, describe, expect, it } from 'vitest'
import { createTaskReader, createTaskRunner, createTaskStopper } from '../../../shared/adapters/ecs/task-api.ts'

const ecs = mockClient(ECSClient)
beforeEach(() => ecs.reset())

const runner = createTaskRunner({
  CLUSTER_ARN: 'cluster',
  TASK_SUBNETS: ['subnet-1'],
  TASK_SECURITY_GROUPS: ['sg-1'],
  PREVIEW_SECURITY_GROUPS: ['sg-preview'],
  TASK_PUBLIC_IP: 'ENABLED',
  TASK_CAPACITY_PROVIDER: 'FARGATE',
})
const start = {
  kind: 'agent' as const,
  clientToken: 'record-1-1',
  startedBy: 'team/record/1',
  taskDefinition: 'family:1',
  container: 'agent',
  size: { cpu: 1024, memory: 2048 },
  environment: { COVIBES_ENVIRONMENT: 'team/record/1' },
}
const failure = <E extends { message: string }>(fields: E) => ({ $metadata: { httpStatusCode: 400 }, ...fields })

describe('RunTask', () => {
  it('is called with token, origin, size and overrides', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: 'arn' }] })
    expect(await runner.run(start)).toEqual({ outcome: 'accepted', taskArn: 'arn' })
    expect(ecs.commandCalls(RunTaskCommand)[0]?.args[0].input).toMatchObject({
      clientToken: 'record-1-1',
      startedBy: 'team/record/1',
      count: 1,
      taskDefinition: 'family:1',
      overrides: {
        cpu: '1024',
        memory: '2048',
        containerOverrides: [{ name: 'agent', environment: [{ name: 'COVIBES_ENVIRONMENT', value: 'team/record/1' }] }],
      },
    })
  })

  it.each([
    ['agent', 'sg-1'],
    ['sync', 'sg-1'],
    ['preview', 'sg-preview'],
  ] as const)('of %s runs where only those may connect who should', async (kind, group) => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: 'arn' }] })
    await runner.run({ ...start, kind })
    const { networkConfiguration } = ecs.commandCalls(RunTaskCommand)[0]?.args[0].input ?? {}
    expect(networkConfiguration?.awsvpcConfiguration?.securityGroups).toEqual([group])
  })

  it('takes the task of a token that was used with other parameters', async () => {
    ecs.on(RunTaskCommand).rejects(new ConflictException(failure({ message: 'token in use', resourceIds: ['arn'] })))
    expect(await runner.run(start)).toEqual({ outcome: 'accepted', taskArn: 'arn' })
  })

  const throttled = Object.assign(new Error('Rate exceeded'), { name: 'ThrottlingException', $fault: 'client' })
  it.each([
    ['a throttle', throttled, { outcome: 'refused', retry: true }],
    [
      'wrong parameters',
      new InvalidParameterException(failure({ message: 'no' })),
      { outcome: 'refused', retry: false },
    ],
    [
      'a fault of ECS',
      new ServerException({ message: 'oops', $metadata: { httpStatusCode: 500 } }),
      { outcome: 'unclear' },
    ],
    [
      'a role that ECS does not see yet',
      new ClientException(
        failure({ message: "ECS was unable to assume the role 'arn' that was provided for this task." }),
      ),
      { outcome: 'too-early' },
    ],
    [
      'a definition that was replaced meanwhile',
      new ClientException(failure({ message: 'TaskDefinition is inactive' })),
      { outcome: 'too-early' },
    ],
    ['no answer', new Error('socket hang up'), { outcome: 'unclear' }],
  ])('tells %s by what it says of the task', async (_, error, expected) => {
    ecs.on(RunTaskCommand).rejects(error)
    expect(await runner.run(start)).toMatchObject({ ...expected, reason: expect.stringContaining(error.message) })
  })

  it.each([
    ['RESOURCE:ENI', true],
    ['Capacity is unavailable at this time. Please try again later or in a different availability zone', true],
    ['MISSING', false],
  ])('reads failures[] of a 200: %s', async (reason, retry) => {
    ecs.on(RunTaskCommand).resolves({ tasks: [], failures: [{ reason, detail: 'detail' }] })
    expect(await runner.run(start)).toEqual({ outcome: 'refused', reason: `${reason}: detail`, retry })
  })

  it('calls an answer without task and failure unclear', async () => {
    ecs.on(RunTaskCommand).resolves({})
    expect(await runner.run(start)).toMatchObject({ outcome: 'unclear' })
  })
})

describe('StopTask', () => {
  it('is content with a task that ECS has forgotten, and with nothing else', async () => {
    const stopper = createTaskStopper('cluster')
    const forgotten = new InvalidParameterException(failure({ message: 'The referenced task was not found.' }))
    ecs.on(StopTaskCommand).rejects(forgotten)
    await expect(stopper.stop('arn', 'why')).resolves.toBeUndefined()
    ecs.on(StopTaskCommand).rejects(throttledStop)
    await expect(stopper.stop('arn', 'why')).rejects.toThrow('Rate exceeded')
  })
  const throttledStop = Object.assign(new Error('Rate exceeded'), { name: 'ThrottlingException', $fault: 'client' })
})

describe('reading', () => {
  it('pages lists, describes by hundreds, and names what is missing', async () => {
    const reader = createTaskReader('cluster')
    ecs
      .on(ListTasksCommand)
      .resolvesOnce({ taskArns: ['a', 'b'], nextToken: 'more' })
      .resolvesOnce({ taskArns: ['c'] })
    expect(await reader.listRunning()).toEqual(['a', 'b', 'c'])

    const at = new Date('2026-01-02T03:04:05.000Z')
    ecs.on(DescribeTasksCommand).callsFake(({ tasks }: { tasks: string[] }) => ({
      tasks: tasks.slice(1).map((taskArn) => ({
        taskArn,
        version: 3,
        lastStatus: 'STOPPED',
        desiredStatus: 'STOPPED',
        startedBy: 't/r/1',
        startedAt: at,
        containers: [{ name: 'agent', exitCode: 3 }],
      })),
      failures: [{ arn: tasks[0], reason: 'MISSING' }],
    }))
    const { tasks, missing } = await reader.describe(Array.from({ length: 150 }, (_, n) => `task-${n}`))
    expect(missing).toEqual(['task-0', 'task-100'])
    expect(tasks).toHaveLength(148)
    expect(tasks[0]).toMatchObject({ arn: 'task-1', startedAt: at.toISOString(), container: { exitCode: 3 } })
  })
})
