import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DescribeTasksCommand, StopTaskCommand } from '@aws-sdk/client-ecs'
import { expect, test } from 'vitest'
import { processStart } from '../../../../local/ecs/processes.ts'
import { taskDisk } from '../../../../local/ecs/task-directory.ts'
import { detailsOf, folder, runOne, startEcs, stopped, template } from './support.ts'

const FOREVER = 'console.log("up", process.pid); setInterval(() => {}, 1000)'

test('a task that ends by itself passes through the states, with rising versions and its exit code', async () => {
  const { client, events, until } = await startEcs('console.log("done"); process.exit(3)')
  const task = await runOne(client, { startedBy: 'team/record/1' })
  expect(task).toMatchObject({ lastStatus: 'PROVISIONING', desiredStatus: 'RUNNING', version: 1 })

  const detail = await until(() => stopped(events, task.taskArn))
  expect(detail).toMatchObject({
    stopCode: 'EssentialContainerExited',
    stoppedReason: 'Essential container in task exited',
    startedBy: 'team/record/1',
    containers: [{ name: 'agent', lastStatus: 'STOPPED', exitCode: 3 }],
  })
  const details = detailsOf(events, task.taskArn)
  expect(details.map((each) => each.lastStatus)).toEqual([
    'PROVISIONING',
    'PENDING',
    'RUNNING',
    'DEPROVISIONING',
    'STOPPED',
  ])
  expect(details.map((each) => each.version)).toEqual([1, 2, 3, 4, 5])
})

test('StopTask sends SIGTERM and the program ends as it likes', async () => {
  const { client, events, lines, until } = await startEcs(
    `process.on('SIGTERM', () => { console.log('bye'); process.exit(0) }); ${FOREVER}`,
  )
  const { taskArn } = await runOne(client)
  await until(() => lines.find(({ line }) => line.startsWith('up')))
  const { task } = await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn, reason: 'enough' }))
  expect(task).toMatchObject({ desiredStatus: 'STOPPED', stoppedReason: 'enough', stopCode: 'UserInitiated' })

  const detail = await until(() => stopped(events, taskArn))
  expect(detail).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'enough', containers: [{ exitCode: 0 }] })
  expect(lines.map(({ line }) => line)).toContain('bye')
  expect(detailsOf(events, taskArn).map((each) => `${each.lastStatus}/${each.desiredStatus}`)).toEqual([
    'PROVISIONING/RUNNING',
    'PENDING/RUNNING',
    'RUNNING/RUNNING',
    'RUNNING/STOPPED',
    'DEACTIVATING/STOPPED',
    'STOPPING/STOPPED',
    'DEPROVISIONING/STOPPED',
    'STOPPED/STOPPED',
  ])
})

test('a program without a handler ends with 143', async () => {
  const { client, events, lines, until } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client)
  await until(() => lines.find(({ line }) => line.startsWith('up')))
  await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    stoppedReason: 'Task stopped by user',
    containers: [{ exitCode: 143 }],
  })
})

test('a program that ignores SIGTERM is killed after the stop timeout, with 137, and so are the children that left its group', async () => {
  const program = `
    import { spawn } from 'node:child_process'
    process.on('SIGTERM', () => console.log('ignored'))
    const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
    console.log('child', child.pid)
    setInterval(() => {}, 1000)`
  const { client, events, lines, until } = await startEcs(program, { resources: template({ StopTimeout: 0.2 }) })
  const { taskArn } = await runOne(client)
  const child = await until(() => lines.find(({ line }) => line.startsWith('child')))
  await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))
  expect(await until(() => stopped(events, taskArn))).toMatchObject({ containers: [{ exitCode: 137 }] })
  expect(lines.map(({ line }) => line)).toContain('ignored')
  expect(await processStart(Number(child.line.split(' ')[1]))).toBeUndefined()
})

test('a SIGKILL from outside gives 137 with the essential container’s reason', async () => {
  const { client, events, lines, until } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client)
  const up = await until(() => lines.find(({ line }) => line.startsWith('up')))
  process.kill(Number(up.line.split(' ')[1]), 'SIGKILL')
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    stopCode: 'EssentialContainerExited',
    containers: [{ exitCode: 137 }],
  })
})

test('out of memory is told as ECS tells it', async () => {
  const { ecs, client, events, lines, until } = await startEcs(FOREVER)
  const { taskArn } = await runOne(client)
  await until(() => lines.find(({ line }) => line.startsWith('up')))
  await ecs.killForMemory(taskArn, 'agent')
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    stopCode: 'EssentialContainerExited',
    containers: [{ exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' }],
  })
})

test('a Spot task can be interrupted, another cannot', async () => {
  const { ecs, client, events, lines, until } = await startEcs(FOREVER)
  const onDemand = await runOne(client)
  await expect(ecs.interruptSpot(onDemand.taskArn)).rejects.toThrow('not a Spot task')
  const { taskArn, capacityProviderName } = await runOne(client, {
    launchType: undefined,
    capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }],
  })
  expect(capacityProviderName).toBe('FARGATE_SPOT')
  await until(() => lines.find((line) => line.taskArn === taskArn))
  await ecs.interruptSpot(taskArn)
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    stopCode: 'SpotInterruption',
    stoppedReason: 'Your Spot Task was interrupted.',
    capacityProviderName: 'FARGATE_SPOT',
  })
})

test('an image that is not there, or a program that is not there, fails the start', async () => {
  const { client, events, until } = await startEcs('', { images: () => undefined })
  const { taskArn } = await runOne(client)
  const detail = await until(() => stopped(events, taskArn))
  expect(detail).toMatchObject({ stopCode: 'TaskFailedToStart', desiredStatus: 'STOPPED' })
  expect(detail.stoppedReason).toMatch(/^CannotPullContainerError: .*agent-image:1.*not found$/)
  expect(detail).not.toHaveProperty('startedAt')
  expect((detail.containers as Record<string, unknown>[])[0]).not.toHaveProperty('exitCode')

  const directory = await folder()
  const other = await startEcs('', { images: () => ({ directory, entryPoint: ['/no/such/program'] }) })
  const second = await runOne(other.client)
  expect(await other.until(() => stopped(other.events, second.taskArn))).toMatchObject({
    stopCode: 'TaskFailedToStart',
    stoppedReason: expect.stringMatching(/^CannotStartContainerError: .*ENOENT/),
  })
})

test('a secret that cannot be read fails the start', async () => {
  const { client, events, until } = await startEcs('', {
    resources: template({ Secrets: [{ Name: 'KEY', ValueFrom: 'arn:aws:secretsmanager:us-east-1:0:secret:none' }] }),
    secret: async (valueFrom) => {
      throw new Error(`ResourceNotFoundException: ${valueFrom}`)
    },
  })
  const { taskArn } = await runOne(client)
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    stopCode: 'TaskFailedToStart',
    stoppedReason: expect.stringMatching(/^ResourceInitializationError: unable to pull secrets .*secret:none$/),
  })
})

test('a task stopped before it runs never runs', async () => {
  const { client, events, lines, until } = await startEcs('console.log("ran")', {
    latencies: { provisioningMs: 60_000, deprovisioningMs: 1 },
  })
  const { taskArn } = await runOne(client)
  await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))
  const detail = await until(() => stopped(events, taskArn))
  expect(detail).toMatchObject({ stopCode: 'UserInitiated' })
  expect(detail).not.toHaveProperty('startedAt')
  expect(lines).toEqual([])
})

test('the process sees its definition’s and overrides’ environment, secrets and the platform’s variables, and nothing else', async () => {
  process.env.LEAK = 'of the runtime'
  const efs = await folder()
  const { client, ecs, events, lines, stateDir, until } = await startEcs(
    'console.log(JSON.stringify(process.env)); import fs from "node:fs"; fs.writeFileSync(process.env.NOTES + "/n", "kept"); console.log(fs.readdirSync(process.env.NOTES).join()); fs.writeFileSync(process.env.SHARED, "shared")',
    {
      resources: template(
        {
          Environment: [
            { Name: 'NOTES', Value: '/scratch' },
            { Name: 'SHARED', Value: '/workspace/deep/../file' },
            { Name: 'OTHER', Value: '/scratchy' },
            { Name: 'COLOR', Value: 'red' },
          ],
          Secrets: [{ Name: 'KEY', ValueFrom: 'arn:key' }],
          MountPoints: [
            { SourceVolume: 'scratch', ContainerPath: '/scratch' },
            { SourceVolume: 'team', ContainerPath: '/workspace' },
          ],
        },
        {
          Volumes: [
            { Name: 'scratch' },
            {
              Name: 'team',
              EFSVolumeConfiguration: {
                FilesystemId: 'fs-1',
                TransitEncryption: 'ENABLED',
                AuthorizationConfig: { AccessPointId: 'fsap-1', IAM: 'ENABLED' },
              },
            },
          ],
        },
      ),
      secret: async (valueFrom) => `value of ${valueFrom}`,
      mountEfs: async ({ fileSystemId, accessPointId = '' }) => {
        const directory = join(efs, fileSystemId, accessPointId)
        await mkdir(directory, { recursive: true })
        return { directory, readOnly: false }
      },
    },
  )
  const { taskArn } = await runOne(client, {
    overrides: { containerOverrides: [{ name: 'agent', environment: [{ name: 'COLOR', value: 'blue' }] }] },
  })
  const detail = await until(() => stopped(events, taskArn))
  expect(detail).toMatchObject({ containers: [{ exitCode: 1 }] })
  const environment = JSON.parse(lines.find(({ stream }) => stream === 'stdout')?.line ?? '') as Record<string, string>
  const scratch = join(stateDir, 'tasks', taskArn.split('/').at(-1) ?? '')
  expect(environment).toMatchObject({
    NOTES: join(taskDisk(taskArn), 'scratch'),
    SHARED: `${join(efs, 'fs-1', 'fsap-1')}/deep/../file`,
    OTHER: '/scratchy',
    COLOR: 'blue',
    KEY: 'value of arn:key',
    HOME: expect.stringMatching(new RegExp(`^${join(scratch, 'homes')}/[0-9a-f]{32}-\\d{10}$`)),
    HOST: expect.stringMatching(/^127\./),
    AWS_REGION: 'us-east-1',
  })
  expect(Object.keys(environment).sort()).toEqual(
    [
      ...['AWS_DEFAULT_REGION', 'AWS_EXECUTION_ENV', 'AWS_REGION', 'COLOR', 'ECS_CONTAINER_METADATA_URI_V4', 'HOME'],
      ...['HOST', 'KEY', 'LANG', 'NOTES', 'OTHER', 'PATH', 'SHARED'],
    ].sort(),
  )
  expect(lines.map(({ line }) => line)).toContain('n')
  expect(await readFile(join(scratch, 'agent.log'), 'utf8')).toContain('"COLOR":"blue"')
  // The task's own disk ends with it, and stood in no folder that could be somebody's project.
  await ecs.idle()
  expect(existsSync(taskDisk(taskArn))).toBe(false)
  expect(taskDisk(taskArn).startsWith(stateDir)).toBe(false)
})

test('each task has an address of its own, on which equal ports do not collide', async () => {
  const program = `
    import http from 'node:http'
    http.createServer((_, response) => response.end(process.env.HOST)).listen(18080, process.env.HOST, () => console.log('listening'))`
  const { client, events, lines, until } = await startEcs(program)
  const first = await runOne(client)
  const second = await runOne(client)
  for (const { taskArn } of [first, second]) {
    await until(() => lines.find((line) => line.taskArn === taskArn && line.line === 'listening'))
    const running = await until(() => detailsOf(events, taskArn).find((detail) => detail.lastStatus === 'RUNNING'))
    const [eni] = running.attachments as { details: { name: string; value: string }[] }[]
    const address = eni?.details.find(({ name }) => name === 'privateIPv4Address')?.value
    expect(await (await fetch(`http://${address}:18080`)).text()).toBe(address)
  }
})

test('the task metadata endpoint tells the task and the container', async () => {
  const program = `
    const base = process.env.ECS_CONTAINER_METADATA_URI_V4
    const get = async (path) => (await fetch(base + path)).json()
    console.log(JSON.stringify({ task: await get('/task'), container: await get('') }))`
  const { client, lines, until } = await startEcs(program)
  const { taskArn } = await runOne(client)
  const { line } = await until(() => lines.find(({ stream }) => stream === 'stdout'))
  expect(JSON.parse(line)).toMatchObject({
    task: { TaskARN: taskArn, Family: 'agent', Revision: '1', LaunchType: 'FARGATE', Containers: [{ Name: 'agent' }] },
    container: { Name: 'agent', Image: 'agent-image:1', ContainerARN: expect.stringContaining(':container/') },
  })
})

test('a health check runs in the task’s environment; DescribeTasks tells the health, events do not', async () => {
  const flag = join(await folder(), 'healthy')
  const { client, events, lines, until } = await startEcs(FOREVER, {
    resources: template({
      Environment: [{ Name: 'FLAG', Value: flag }],
      HealthCheck: { Command: ['CMD-SHELL', 'test -e "$FLAG"'], Interval: 0.02, Timeout: 5, Retries: 2 },
    }),
  })
  const { taskArn } = await runOne(client)
  const healthOf = async () => {
    const { tasks } = await client.send(new DescribeTasksCommand({ cluster: 'containers', tasks: [taskArn] }))
    return tasks?.[0]?.healthStatus
  }
  expect(await healthOf()).toBe('UNKNOWN')
  await until(() => lines.find(({ line }) => line.startsWith('up')))
  expect(existsSync(flag)).toBe(false)
  await expect.poll(healthOf, { timeout: 10_000 }).toBe('UNHEALTHY')
  await writeFile(flag, '')
  await expect.poll(healthOf, { timeout: 10_000 }).toBe('HEALTHY')
  expect(JSON.stringify(events)).not.toContain('healthStatus')
})

test('an output without line ends does not fill memory, and the last line needs none', async () => {
  const { client, events, lines, until } = await startEcs(
    'process.stdout.write("x".repeat(100_000)); process.stdout.write("é\\r\\nlast")',
  )
  const { taskArn } = await runOne(client)
  await until(() => stopped(events, taskArn))
  const said = lines.map(({ line }) => line)
  expect(said.join('')).toBe(`${'x'.repeat(100_000)}élast`)
  expect(Math.max(...said.map(({ length }) => length))).toBeLessThanOrEqual(65_536)
  expect(said.at(-1)).toBe('last')
})
