/**
 * What must hold for whatever runs containers. Each adapter calls `backendContract` with a way to make itself; the tests see it
 * through the ECS endpoint, as the control plane does.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DescribeTasksCommand, StopTaskCommand } from '@aws-sdk/client-ecs'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ContainerBackend } from '../../../../local/ecs/backend.ts'
import { detailsOf, folder, runOne, startEcs, stopped, template, type Witness } from './support.ts'

/** An adapter under test. */
export interface BackendUnderTest {
  /** An image with Node in it that `open` makes known. */
  readonly image: string
  open(stateDir: string): Promise<ContainerBackend>
}

const cluster = 'containers'

/** Runs a program of Node as the container's first process. */
export async function startProgram(
  { image, open }: BackendUnderTest,
  program: string,
  container: Record<string, unknown> = {},
  rest: Record<string, unknown> = {},
  options: Parameters<typeof startEcs>[1] = {},
) {
  const stateDir = options.stateDir ?? (await folder())
  const entry = { Image: image, EntryPoint: ['node', '--input-type=module', '-e', program], ...container }
  const backend = await open(stateDir)
  return startEcs('', { ...options, stateDir, backend, resources: template(entry, rest) })
}

/** The lines of a stream, joined. */
export const said = (lines: Witness['lines'], stream = 'stdout') =>
  lines.filter((line) => line.stream === stream).map(({ line }) => line)

const UP = 'console.log("up"); setInterval(() => {}, 1000)'
/** A server that tells what it is asked, on the address that the task has. */
const SERVER = `
  import http from 'node:http'
  import fs from 'node:fs'
  const server = http.createServer((request, response) => {
    if (request.url === '/sick') fs.rmSync(process.env.FLAG)
    response.end('hello from ' + request.url)
  })
  fs.writeFileSync(process.env.FLAG, '')
  server.listen(18080, process.env.HOST ?? '0.0.0.0', () => console.log('up'))`

/** The tests, for one adapter. */
export function backendContract(name: string, backend: BackendUnderTest): void {
  describe(`${name}: a container`, () => {
    test('ends with its program’s exit code, after all its output was told', async () => {
      const { client, events, lines, until, stateDir } = await startProgram(
        backend,
        'console.error("to stderr"); process.stdout.write("é first\\nlast without an end", () => process.exit(3))',
      )
      const { taskArn } = await runOne(client)
      expect(await until(() => stopped(events, taskArn))).toMatchObject({
        stopCode: 'EssentialContainerExited',
        containers: [{ name: 'agent', lastStatus: 'STOPPED', exitCode: 3 }],
      })
      expect(said(lines)).toEqual(['é first', 'last without an end'])
      expect(said(lines, 'stderr')).toEqual(['to stderr'])
      const log = await readFile(join(stateDir, 'tasks', taskArn.split('/').at(-1) ?? '', 'agent.log'), 'utf8')
      expect(log.split('\n').sort()).toEqual(['', 'last without an end', 'to stderr', 'é first'])
    })

    test('sees the definition’s, the override’s, the secrets’ and the platform’s variables', async () => {
      const { client, events, lines, until } = await startProgram(
        backend,
        'console.log(JSON.stringify(process.env))',
        {
          Environment: [
            { Name: 'COLOR', Value: 'red' },
            { Name: 'SHAPE', Value: 'round=1 "2"' },
          ],
          Secrets: [{ Name: 'KEY', ValueFrom: 'arn:key' }],
        },
        {},
        { secret: async (valueFrom) => `value of ${valueFrom}` },
      )
      const { taskArn } = await runOne(client, {
        overrides: { containerOverrides: [{ name: 'agent', environment: [{ name: 'COLOR', value: 'blue' }] }] },
      })
      await until(() => stopped(events, taskArn))
      expect(JSON.parse(said(lines)[0] ?? '')).toMatchObject({
        COLOR: 'blue',
        SHAPE: 'round=1 "2"',
        KEY: 'value of arn:key',
        AWS_REGION: 'us-east-1',
        AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
        PATH: expect.any(String),
        HOME: expect.any(String),
      })
    })

    test('that handles SIGTERM ends as it likes', async () => {
      const { client, events, lines, until } = await startProgram(
        backend,
        `process.on('SIGTERM', () => { console.log('bye'); process.exit(7) }); ${UP}`,
      )
      const { taskArn } = await runOne(client)
      await until(() => lines.find(({ line }) => line === 'up'))
      await client.send(new StopTaskCommand({ cluster, task: taskArn }))
      expect(await until(() => stopped(events, taskArn))).toMatchObject({
        stopCode: 'UserInitiated',
        containers: [{ exitCode: 7 }],
      })
      expect(said(lines)).toEqual(['up', 'bye'])
    })

    test('that ignores SIGTERM is killed after its stop timeout, with 137', async () => {
      const { client, events, lines, until } = await startProgram(
        backend,
        `process.on('SIGTERM', () => console.log('ignored')); ${UP}`,
        { StopTimeout: 1 },
      )
      const { taskArn } = await runOne(client)
      await until(() => lines.find(({ line }) => line === 'up'))
      await client.send(new StopTaskCommand({ cluster, task: taskArn }))
      expect(await until(() => stopped(events, taskArn))).toMatchObject({ containers: [{ exitCode: 137 }] })
      expect(said(lines)).toContain('ignored')
    })

    test('killed for lack of memory has its reason', async () => {
      const { ecs, client, events, lines, until } = await startProgram(backend, UP)
      const { taskArn } = await runOne(client)
      await until(() => lines.find(({ line }) => line === 'up'))
      await ecs.killForMemory(taskArn, 'agent')
      expect(await until(() => stopped(events, taskArn))).toMatchObject({
        containers: [{ exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' }],
      })
    })

    test('whose program or image is not there fails to start, and says why', async () => {
      const noProgram = await startProgram(backend, '', { EntryPoint: ['/no/such/program'] })
      const first = await runOne(noProgram.client)
      expect(await noProgram.until(() => stopped(noProgram.events, first.taskArn))).toMatchObject({
        stopCode: 'TaskFailedToStart',
        stoppedReason: expect.stringMatching(/^CannotStartContainerError: .*(ENOENT|no such file)/),
      })
      const noImage = await startProgram(backend, '', { Image: 'localhost:9/none:1' })
      const second = await runOne(noImage.client)
      expect(await noImage.until(() => stopped(noImage.events, second.taskArn))).toMatchObject({
        stopCode: 'TaskFailedToStart',
        stoppedReason: expect.stringMatching(/^CannotPullContainerError: .*localhost:9\/none:1/),
      })
    })

    test('is reached at its task’s address; its health shows in DescribeTasks', async () => {
      const { client, events, lines, until } = await startProgram(backend, SERVER, {
        Environment: [{ Name: 'FLAG', Value: '/data/flag' }],
        MountPoints: [{ SourceVolume: 'data', ContainerPath: '/data' }],
        HealthCheck: { Command: ['CMD-SHELL', 'test -e "$FLAG"'], Interval: 0.2, Timeout: 5, Retries: 2 },
      })
      const { taskArn } = await runOne(client)
      await until(() => lines.find(({ line }) => line === 'up'))
      const running = await until(() => detailsOf(events, taskArn).find((detail) => detail.lastStatus === 'RUNNING'))
      const [eni] = running.attachments as { details: { name: string; value: string }[] }[]
      const address = eni?.details.find(({ name: key }) => key === 'privateIPv4Address')?.value
      const ask = async (path: string) => (await fetch(`http://${address}:18080${path}`)).text()
      const health = async () => {
        const { tasks } = await client.send(new DescribeTasksCommand({ cluster, tasks: [taskArn] }))
        return [tasks?.[0]?.healthStatus, tasks?.[0]?.containers?.[0]?.healthStatus]
      }
      expect(await ask('/a')).toBe('hello from /a')
      await expect.poll(health, { timeout: 15_000 }).toEqual(['HEALTHY', 'HEALTHY'])
      await ask('/sick')
      await expect.poll(health, { timeout: 15_000 }).toEqual(['UNHEALTHY', 'UNHEALTHY'])
      expect(detailsOf(events, taskArn).at(-1)).toMatchObject({ lastStatus: 'RUNNING', desiredStatus: 'RUNNING' })
    })

    test('reaches what its variables name on this machine, and its metadata', async () => {
      const server = createServer((_request, response) => response.end('the control plane'))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void server.close())
      const { client, events, lines, until } = await startProgram(
        backend,
        `console.log(await (await fetch(process.env.LINK + '/x')).text())
         console.log((await (await fetch(process.env.ECS_CONTAINER_METADATA_URI_V4 + '/task')).json()).TaskARN)
         process.exit(0)`,
        { Environment: [{ Name: 'LINK', Value: `http://127.0.0.1:${(server.address() as AddressInfo).port}/stage` }] },
      )
      const { taskArn } = await runOne(client)
      await until(() => stopped(events, taskArn))
      expect(said(lines)).toEqual(['the control plane', taskArn])
    })

    test('finds a mounted file system as others left it, and its own volumes empty', async () => {
      const shared = join(await folder(), 'shared')
      await mkdir(shared, { mode: 0o777 })
      const { client, events, lines, until } = await startProgram(
        backend,
        `import fs from 'node:fs'
         const { TEAM, OWN } = process.env
         console.log(fs.readdirSync(TEAM).join(), fs.readdirSync(OWN).join())
         fs.writeFileSync(TEAM + '/' + process.env.NAME, ''); fs.writeFileSync(OWN + '/own', '')`,
        {
          Environment: [
            { Name: 'TEAM', Value: '/workspaces/main' },
            { Name: 'OWN', Value: '/scratch' },
          ],
          MountPoints: [
            { SourceVolume: 'team', ContainerPath: '/workspaces' },
            { SourceVolume: 'own', ContainerPath: '/scratch' },
          ],
        },
        { Volumes: [{ Name: 'team', EFSVolumeConfiguration: { FilesystemId: 'fs-1' } }, { Name: 'own' }] },
        { mountEfs: async () => ({ directory: shared, readOnly: false }) },
      )
      await mkdir(join(shared, 'main'), { mode: 0o777 })
      for (const value of ['a', 'b']) {
        const environment = [{ name: 'NAME', value }]
        const { taskArn } = await runOne(client, {
          overrides: { containerOverrides: [{ name: 'agent', environment }] },
        })
        expect(await until(() => stopped(events, taskArn))).toMatchObject({ containers: [{ exitCode: 0 }] })
      }
      expect(said(lines)).toEqual([' ', 'a '])
    })

    test('ends with the runtime, and the next one says so', async () => {
      const before = await startProgram(backend, UP)
      const { taskArn } = await runOne(before.client)
      await before.until(() => before.lines.find(({ line }) => line === 'up'))
      await before.until(() => detailsOf(before.events, taskArn).find((detail) => detail.lastStatus === 'RUNNING'))
      await before.ecs.close()
      const after = await startProgram(backend, UP, {}, {}, { stateDir: before.stateDir })
      expect(detailsOf(after.events, taskArn)).toMatchObject([
        { lastStatus: 'STOPPED', stopCode: 'InfrastructureHealth', containers: [{ exitCode: 137 }] },
      ])
    })
  })
}
