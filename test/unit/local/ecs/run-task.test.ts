import { DescribeTasksCommand, type ECSClient, RunTaskCommand, type RunTaskCommandInput } from '@aws-sdk/client-ecs'
import { describe, expect, test } from 'vitest'
import { isFargateSize } from '../../../../local/ecs/fargate-sizes.ts'
import { CLUSTER_ARN, DEFINITION_ARN, detailsOf, RUN_INPUT, runOne, startEcs, stopped, template } from './support.ts'

const run = (client: ECSClient, input: Partial<RunTaskCommandInput> = {}) =>
  client.send(new RunTaskCommand({ ...RUN_INPUT, ...input }))

const FOREVER = 'setInterval(() => {}, 1000)'

test('RunTask answers with the task as ECS describes it', async () => {
  const { client } = await startEcs(FOREVER)
  const before = Date.now()
  const { tasks, failures } = await run(client, {
    startedBy: 'team/record/1',
    tags: [{ key: 'team', value: 'one' }],
    platformVersion: 'LATEST',
  })
  expect(failures).toEqual([])
  expect(tasks).toEqual([
    expect.objectContaining({
      taskArn: expect.stringMatching(/^arn:aws:ecs:us-east-1:000000000000:task\/containers\/[0-9a-f]{32}$/),
      clusterArn: CLUSTER_ARN,
      taskDefinitionArn: DEFINITION_ARN,
      lastStatus: 'PROVISIONING',
      desiredStatus: 'RUNNING',
      launchType: 'FARGATE',
      platformVersion: '1.4.0',
      platformFamily: 'Linux',
      cpu: '256',
      memory: '512',
      group: 'family:agent',
      startedBy: 'team/record/1',
      healthStatus: 'UNKNOWN',
      version: 1,
      createdAt: expect.any(Date),
      tags: [{ key: 'team', value: 'one' }],
      overrides: { containerOverrides: [{ name: 'agent' }] },
      attachments: [
        expect.objectContaining({
          type: 'ElasticNetworkInterface',
          status: 'PRECREATED',
          details: [{ name: 'subnetId', value: 'subnet-1' }],
        }),
      ],
    }),
  ])
  const [task] = tasks ?? []
  expect(task?.createdAt?.getTime()).toBeGreaterThanOrEqual(before - 1)
  expect(task).not.toHaveProperty('capacityProviderName')
})

describe('the client token', () => {
  test('the same call gets the same task, also from two calls at once', async () => {
    const { client, events } = await startEcs(FOREVER)
    const token = { clientToken: 'record-1-1', startedBy: 'a' }
    const answers = await Promise.all([run(client, token), run(client, token)])
    answers.push(await run(client, token))
    const arns = answers.map(({ tasks }) => tasks?.[0]?.taskArn)
    expect(new Set(arns).size).toBe(1)
    expect(new Set(events.map(({ resources }) => resources[0])).size).toBe(1)
  })

  test('other parameters conflict, another token does not', async () => {
    const { client } = await startEcs(FOREVER)
    const first = await runOne(client, { clientToken: 'a' })
    await expect(run(client, { clientToken: 'a', startedBy: 'other' })).rejects.toMatchObject({
      name: 'ConflictException',
      resourceIds: [first.taskArn],
    })
    expect((await runOne(client, { clientToken: 'b' })).taskArn).not.toBe(first.taskArn)
  })

  test('it survives a restart, and answers with the task that has meanwhile stopped', async () => {
    const before = await startEcs(FOREVER)
    const first = await runOne(before.client, { clientToken: 'a' })
    await before.ecs.close()
    const after = await startEcs(FOREVER, { stateDir: before.stateDir })
    expect(await runOne(after.client, { clientToken: 'a' })).toMatchObject({
      taskArn: first.taskArn,
      lastStatus: 'STOPPED',
    })
  })

  test('a refusal does not use it up', async () => {
    const { client } = await startEcs(FOREVER, { maxRunningTasks: 0 })
    const refused = await run(client, { clientToken: 'a' })
    expect(refused).toMatchObject({
      tasks: [],
      failures: [{ reason: 'You’ve reached the limit on the number of vCPUs you can run concurrently' }],
    })
    await expect(run(client, { clientToken: 'a', startedBy: 'other' })).resolves.toMatchObject({ tasks: [] })
  })
})

test.each<[string, Partial<RunTaskCommandInput>, string, string | RegExp]>([
  ['an unknown cluster', { cluster: 'other' }, 'ClusterNotFoundException', 'Cluster not found.'],
  ['no cluster, as there is no default one', { cluster: undefined }, 'ClusterNotFoundException', 'Cluster not found.'],
  ['an unknown task definition', { taskDefinition: 'other' }, 'ClientException', 'TaskDefinition not found.'],
  ['an unknown revision', { taskDefinition: 'agent:9' }, 'ClientException', 'TaskDefinition not found.'],
  ['too many tasks', { count: 11 }, 'InvalidParameterException', /between 1 and 10/],
  ['a startedBy of 129 characters', { startedBy: 'x'.repeat(129) }, 'InvalidParameterException', /startedBy/],
  ['a startedBy with a colon', { startedBy: 'team:1' }, 'InvalidParameterException', /startedBy/],
  ['a token of 65 characters', { clientToken: 'x'.repeat(65) }, 'InvalidParameterException', /clientToken/],
  [
    'overrides of more than 8192 characters',
    { overrides: { containerOverrides: [{ name: 'agent', environment: [{ name: 'A', value: 'x'.repeat(8_192) }] }] } },
    'InvalidParameterException',
    'Container Overrides length must be at most 8192',
  ],
  [
    'an override of an unknown container',
    { overrides: { containerOverrides: [{ name: 'other' }] } },
    'InvalidParameterException',
    'Override for container named other is not a container in the TaskDefinition.',
  ],
  [
    'no network configuration',
    { networkConfiguration: undefined },
    'InvalidParameterException',
    "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
  ],
  [
    'a size that Fargate does not have',
    { overrides: { cpu: '1024', memory: '1024' } },
    'ClientException',
    'No Fargate configuration exists for given values.',
  ],
  [
    'both a launch type and a strategy',
    { capacityProviderStrategy: [{ capacityProvider: 'FARGATE' }] },
    'InvalidParameterException',
    /both a launch type and capacity provider strategy/,
  ],
  [
    'a capacity provider that the cluster does not have',
    { launchType: undefined, capacityProviderStrategy: [{ capacityProvider: 'other' }] },
    'InvalidParameterException',
    /not associated with the cluster/,
  ],
  ['EC2', { launchType: 'EC2' }, 'InvalidParameterException', 'No Container Instances were found in your cluster.'],
  ['an unknown platform', { platformVersion: '9.9.9' }, 'PlatformUnknownException', /platform/],
  ['a reserved tag', { tags: [{ key: 'aws:x', value: 'y' }] }, 'InvalidParameterException', /reserved/],
])('refused: %s', async (_what, input, name, message) => {
  const { client, events } = await startEcs(FOREVER)
  await expect(run(client, input)).rejects.toMatchObject({
    name,
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  })
  expect(events).toEqual([])
})

test('several tasks a call, sizes by override, tags propagated from the definition', async () => {
  const resources = template({}, { Tags: [{ Key: 'owner', Value: 'us' }] })
  const { client } = await startEcs(FOREVER, { resources })
  const { tasks } = await run(client, {
    count: 3,
    overrides: { cpu: '512', memory: '1024' },
    propagateTags: 'TASK_DEFINITION',
    enableECSManagedTags: true,
  })
  expect(new Set(tasks?.map(({ taskArn }) => taskArn)).size).toBe(3)
  expect(tasks?.[0]).toMatchObject({
    cpu: '512',
    memory: '1024',
    tags: [
      { key: 'aws:ecs:clusterName', value: 'containers' },
      { key: 'owner', value: 'us' },
    ],
  })
})

test('the entry point and the command follow Docker’s rule', async () => {
  const print = 'console.log(JSON.stringify(process.argv.slice(2)))'
  const { client, lines, until } = await startEcs(print, { resources: template({ Command: ['of', 'definition'] }) })
  const plain = await runOne(client)
  const overridden = await runOne(client, {
    overrides: { containerOverrides: [{ name: 'agent', command: ['of', 'override'] }] },
  })
  const said = (arn: string) => until(() => lines.find(({ taskArn }) => taskArn === arn)?.line)
  expect(await said(plain.taskArn)).toBe('["of","definition"]')
  expect(await said(overridden.taskArn)).toBe('["of","override"]')

  const own = await startEcs('', {
    resources: template({ EntryPoint: ['/bin/sh', '-c'], Command: ['echo $0 from sh'] }),
  })
  const { taskArn } = await runOne(own.client)
  expect(await own.until(() => own.lines.find((line) => line.taskArn === taskArn)?.line)).toMatch(/from sh$/)
})

test('containers beside the essential one end with it', async () => {
  const resources = template()
  const [cluster, definition] = resources
  if (!cluster || !definition) throw new Error('The template has changed')
  const image = (name: string) => ({
    directory: '/tmp',
    entryPoint: [process.execPath, '-e'],
    command: [
      name === 'main' ? `process.on('SIGUSR2', () => process.exit(5)); console.log(process.pid); ${FOREVER}` : FOREVER,
    ],
  })
  const containers = [
    { Name: 'main', Image: 'main' },
    { Name: 'helper', Image: 'helper', Essential: false },
    { Name: 'short', Image: 'short', Essential: false, Command: ['process.exit(0)'] },
  ]
  const { client, events, lines, until } = await startEcs('', {
    resources: [cluster, { ...definition, properties: { ...definition.properties, ContainerDefinitions: containers } }],
    images: image,
  })
  const { taskArn } = await runOne(client)
  // The end of a container that is not essential is told, and the task goes on.
  await until(() =>
    detailsOf(events, taskArn).find(
      (each) => each.lastStatus === 'RUNNING' && JSON.stringify(each.containers).includes('"exitCode":0'),
    ),
  )
  const { line } = await until(() => lines.find(({ container }) => container === 'main'))
  process.kill(Number(line), 'SIGUSR2')
  const detail = await until(() => stopped(events, taskArn))
  expect(detail).toMatchObject({ stopCode: 'EssentialContainerExited' })
  const codes = (detail.containers as { name: string; exitCode: number }[]).map(({ name, exitCode }) => [
    name,
    exitCode,
  ])
  expect(Object.fromEntries(codes)).toEqual({ main: 5, helper: 143, short: 0 })
})

test('stopped tasks are forgotten after the retention, and reported as missing', async () => {
  const { client, events, until } = await startEcs('', { stoppedRetentionMs: 50 })
  const { taskArn } = await runOne(client)
  await until(() => stopped(events, taskArn))
  const describe = async () => client.send(new DescribeTasksCommand({ cluster: 'containers', tasks: [taskArn] }))
  await expect.poll(async () => (await describe()).failures).toEqual([{ arn: taskArn, reason: 'MISSING' }])
})

test('the sizes of Fargate', () => {
  for (const [cpu, memory] of [
    ['256', '512'],
    ['.25 vCPU', '0.5 GB'],
    ['512', '4096'],
    ['1024', '8192'],
    ['2048', '16384'],
    ['4096', '30720'],
    ['8192', '61440'],
    ['16384', '122880'],
    ['1 vCPU', '3GB'],
  ] as const)
    expect([cpu, memory, isFargateSize(cpu, memory)]).toEqual([cpu, memory, true])
  for (const [cpu, memory] of [
    ['256', '4096'],
    ['512', '512'],
    ['1024', '1024'],
    ['2048', '4500'],
    ['8192', '17408'],
    ['300', '512'],
    ['', ''],
    ['256', 'much'],
  ] as const)
    expect([cpu, memory, isFargateSize(cpu, memory)]).toEqual([cpu, memory, false])
})
