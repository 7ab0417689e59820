import {
  DeregisterTaskDefinitionCommand,
  DescribeClustersCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ListTagsForResourceCommand,
  ListTaskDefinitionsCommand,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  type RegisterTaskDefinitionCommandInput,
  StopTaskCommand,
  TagResourceCommand,
} from '@aws-sdk/client-ecs'
import { expect, test } from 'vitest'
import { CLUSTER_ARN, DEFINITION_ARN, runOne, startEcs, stopped } from './support.ts'

const FOREVER = 'console.log("up"); setInterval(() => {}, 1000)'
const cluster = 'containers'

test('ListTasks filters and pages', async () => {
  const { client, events, until } = await startEcs(FOREVER)
  const first = await runOne(client, { startedBy: 'a' })
  const second = await runOne(client, { startedBy: 'b' })
  const third = await runOne(client, { startedBy: 'b' })
  const list = async (input: object) => (await client.send(new ListTasksCommand({ cluster, ...input }))).taskArns
  expect(await list({})).toEqual([first.taskArn, second.taskArn, third.taskArn])
  expect(await list({ startedBy: 'b' })).toEqual([second.taskArn, third.taskArn])
  expect(await list({ family: 'agent', launchType: 'FARGATE' })).toHaveLength(3)
  expect(await list({ family: 'other' })).toEqual([])

  const page = await client.send(new ListTasksCommand({ cluster, maxResults: 2 }))
  expect(page.taskArns).toEqual([first.taskArn, second.taskArn])
  const rest = await client.send(new ListTasksCommand({ cluster, maxResults: 2, nextToken: page.nextToken }))
  expect(rest).toMatchObject({ taskArns: [third.taskArn] })
  expect(rest.nextToken).toBeUndefined()

  await client.send(new StopTaskCommand({ cluster, task: first.taskArn }))
  expect(await list({ desiredStatus: 'STOPPED' })).toEqual([first.taskArn])
  expect(await list({})).toEqual([second.taskArn, third.taskArn])
  await until(() => stopped(events, first.taskArn))
  expect(await list({ desiredStatus: 'STOPPED' })).toEqual([first.taskArn])
  await expect(list({ maxResults: 101 })).rejects.toMatchObject({ name: 'InvalidParameterException' })
})

test('DescribeTasks by id and ARN, missing ones as failures, tags when asked for', async () => {
  const { client } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client, { tags: [{ key: 'a', value: 'b' }] })
  const id = taskArn.split('/').at(-1) ?? ''
  const missing = 'f'.repeat(32)
  const { tasks, failures } = await client.send(new DescribeTasksCommand({ cluster, tasks: [id, taskArn, missing] }))
  expect(tasks?.map((task) => task.taskArn)).toEqual([taskArn, taskArn])
  expect(tasks?.[0]?.tags).toEqual([])
  expect(failures).toEqual([{ arn: `${CLUSTER_ARN.replace(':cluster/', ':task/')}/${missing}`, reason: 'MISSING' }])
  const withTags = await client.send(new DescribeTasksCommand({ cluster, tasks: [id], include: ['TAGS'] }))
  expect(withTags.tasks?.[0]?.tags).toEqual([{ key: 'a', value: 'b' }])
  await expect(client.send(new DescribeTasksCommand({ cluster, tasks: Array(101).fill(id) }))).rejects.toMatchObject({
    name: 'InvalidParameterException',
  })
  await expect(client.send(new DescribeTasksCommand({ cluster, tasks: [] }))).rejects.toThrow('Tasks cannot be empty.')
})

test('StopTask of an unknown task, and of one that has stopped', async () => {
  const { client, events, until } = await startEcs('')
  await expect(client.send(new StopTaskCommand({ cluster, task: 'a'.repeat(32) }))).rejects.toMatchObject({
    name: 'InvalidParameterException',
    message: 'The referenced task was not found.',
  })
  const { taskArn } = await runOne(client)
  await until(() => stopped(events, taskArn))
  const { task } = await client.send(new StopTaskCommand({ cluster, task: taskArn, reason: 'late' }))
  expect(task).toMatchObject({ lastStatus: 'STOPPED', stoppedReason: 'Essential container in task exited' })
})

test('StopTask deletes the tags, as its reference says', async () => {
  const { client } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client, { tags: [{ key: 'a', value: '1' }] })
  const { task } = await client.send(new StopTaskCommand({ cluster, task: taskArn }))
  expect(task?.tags).toEqual([])
})

test('tags of a task can be added and replaced', async () => {
  const { client } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client, { tags: [{ key: 'a', value: '1' }] })
  const tags = [
    { key: 'a', value: '2' },
    { key: 'b', value: '3' },
  ]
  await client.send(new TagResourceCommand({ resourceArn: taskArn, tags }))
  expect((await client.send(new ListTagsForResourceCommand({ resourceArn: taskArn }))).tags).toEqual(tags)
})

test('DescribeClusters counts tasks', async () => {
  const { client, lines, until } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client)
  await until(() => lines.find((line) => line.taskArn === taskArn))
  const { clusters, failures } = await client.send(new DescribeClustersCommand({ clusters: [cluster, 'other'] }))
  expect(clusters).toMatchObject([
    { clusterArn: CLUSTER_ARN, status: 'ACTIVE', runningTasksCount: 1, capacityProviders: ['FARGATE', 'FARGATE_SPOT'] },
  ])
  expect(failures).toEqual([{ arn: 'other', reason: 'MISSING' }])
})

const DEFINITION: RegisterTaskDefinitionCommandInput = {
  family: 'team-a',
  cpu: '.5 vCPU',
  memory: '1 GB',
  networkMode: 'awsvpc',
  requiresCompatibilities: ['FARGATE'],
  containerDefinitions: [{ name: 'agent', image: 'agent-image:1', essential: true }],
  tags: [{ key: 'team', value: 'a' }],
}

test('task definitions can be registered, run, listed and deregistered, and survive a restart', async () => {
  const { client, ecs, stateDir } = await startEcs(FOREVER)
  const first = await client.send(new RegisterTaskDefinitionCommand(DEFINITION))
  expect(first.taskDefinition).toMatchObject({
    family: 'team-a',
    revision: 1,
    status: 'ACTIVE',
    cpu: '512',
    memory: '1024',
  })
  const second = await client.send(new RegisterTaskDefinitionCommand(DEFINITION))
  const arn = second.taskDefinition?.taskDefinitionArn ?? ''
  expect(arn).toMatch(/team-a:2$/)
  expect((await runOne(client, { taskDefinition: 'team-a' })).taskDefinitionArn).toBe(arn)

  await client.send(new DeregisterTaskDefinitionCommand({ taskDefinition: 'team-a:2' }))
  await expect(runOne(client, { taskDefinition: 'team-a:2' })).rejects.toMatchObject({
    name: 'ClientException',
    message: 'TaskDefinition is inactive',
  })
  const newest = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: 'team-a', include: ['TAGS'] }))
  expect(newest).toMatchObject({ taskDefinition: { revision: 1 }, tags: [{ key: 'team', value: 'a' }] })
  await ecs.close()

  const after = await startEcs(FOREVER, { stateDir })
  const list = async (input: object) =>
    (await after.client.send(new ListTaskDefinitionsCommand(input))).taskDefinitionArns?.map((each) =>
      each.split('/').at(-1),
    )
  expect(await list({})).toEqual(['agent:1', 'team-a:1'])
  expect(await list({ status: 'INACTIVE' })).toEqual(['team-a:2'])
  expect(await list({ familyPrefix: 'team-a' })).toEqual(['team-a:1'])
  expect(await list({ sort: 'DESC' })).toEqual(['team-a:1', 'agent:1'])
  const third = await after.client.send(new RegisterTaskDefinitionCommand(DEFINITION))
  expect(third.taskDefinition?.revision).toBe(3)
})

test.each([
  ['no family', { family: '' }, 'Family name should not be null or empty.'],
  ['no containers', { containerDefinitions: [] }, 'Container list cannot be empty.'],
  ['a size that Fargate does not have', { memory: '9999' }, 'No Fargate configuration exists for given values.'],
  ['no memory', { memory: undefined }, "Fargate requires that 'memory' be defined at the task level."],
  ['another network mode', { networkMode: 'bridge' as const }, "Fargate only supports network mode 'awsvpc'."],
])('a task definition with %s is refused', async (_what, change, message) => {
  const { client } = await startEcs('')
  await expect(client.send(new RegisterTaskDefinitionCommand({ ...DEFINITION, ...change }))).rejects.toMatchObject({
    name: 'ClientException',
    message,
  })
})

test('an unknown task definition cannot be described', async () => {
  const { client } = await startEcs('')
  await expect(client.send(new DescribeTaskDefinitionCommand({ taskDefinition: 'x' }))).rejects.toMatchObject({
    name: 'ClientException',
    message: 'Unable to describe task definition.',
  })
  const { taskDefinition } = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: DEFINITION_ARN }))
  expect(taskDefinition?.containerDefinitions).toMatchObject([{ name: 'agent', image: 'agent-image:1' }])
})
