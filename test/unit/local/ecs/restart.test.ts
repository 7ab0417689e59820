import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DescribeTasksCommand, ListTasksCommand, StopTaskCommand } from '@aws-sdk/client-ecs'
import { expect, onTestFinished, test } from 'vitest'
import { killRecorded, processStart } from '../../../../local/ecs/processes.ts'
import { taskDisk } from '../../../../local/ecs/task-directory.ts'
import { clientOf, detailsOf, folder, image, runOne, startEcs, template, witness } from './support.ts'

/**
 * A program that starts a child in a session of its own, as a pseudoterminal does, with an environment of its own making,
 * as the agent does; it says both ids.
 */
const FAMILY = `
  import { spawn } from 'node:child_process'
  const env = { PATH: process.env.PATH, HOME: process.env.HOME }
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore', env })
  child.once('spawn', () => console.log('up', process.pid, child.pid))
  setInterval(() => {}, 1000)`

const idsOf = (line: string) => line.split(' ').slice(1).map(Number)

async function alive(pids: readonly number[]): Promise<number[]> {
  const starts = await Promise.all(pids.map(processStart))
  return pids.filter((_, at) => starts[at] !== undefined)
}

test('close ends every process, and the next start reports the tasks as stopped, with higher versions', async () => {
  const before = await startEcs(FAMILY)
  const { taskArn } = await runOne(before.client, { startedBy: 'team/record/1' })
  const { line } = await before.until(() => before.lines.find((each) => each.line.startsWith('up')))
  await before.until(() => detailsOf(before.events, taskArn).find((detail) => detail.lastStatus === 'RUNNING'))
  expect(await alive(idsOf(line))).toHaveLength(2)
  await before.ecs.close()
  expect(await alive(idsOf(line))).toEqual([])
  const told = before.events.length

  const after = await startEcs(FAMILY, { stateDir: before.stateDir })
  expect(before.events).toHaveLength(told)
  expect(detailsOf(after.events, taskArn)).toMatchObject([
    {
      lastStatus: 'STOPPED',
      desiredStatus: 'STOPPED',
      stopCode: 'InfrastructureHealth',
      stoppedReason: 'The one-machine runtime was restarted; its tasks ended with it',
      startedBy: 'team/record/1',
      containers: [{ lastStatus: 'STOPPED', exitCode: 137 }],
      version: 4,
    },
  ])
  const { tasks } = await after.client.send(new DescribeTasksCommand({ cluster: 'containers', tasks: [taskArn] }))
  expect(tasks).toMatchObject([{ lastStatus: 'STOPPED', stopCode: 'InfrastructureHealth' }])
  await after.ecs.close()

  const third = await startEcs(FAMILY, { stateDir: before.stateDir })
  expect(third.events).toEqual([])
})

test('close waits for a program that takes its time, and kills one that does not end', async () => {
  const flag = join(await folder(), 'flag')
  const slow = await startEcs(
    `import { writeFileSync } from 'node:fs'
     process.on('SIGTERM', () => setTimeout(() => { writeFileSync(${JSON.stringify(flag)}, ''); process.exit() }, 100))
     console.log('up', process.pid); setInterval(() => {}, 1000)`,
    { closeGraceMs: 10_000 },
  )
  await runOne(slow.client)
  await slow.until(() => slow.lines.find(({ line }) => line.startsWith('up')))
  await slow.ecs.close()
  expect(existsSync(flag)).toBe(true)

  const deaf = await startEcs(
    'process.on("SIGTERM", () => {}); console.log("up", process.pid); setInterval(() => {}, 1000)',
    { closeGraceMs: 50 },
  )
  await runOne(deaf.client)
  const { line } = await deaf.until(() => deaf.lines.find((each) => each.line.startsWith('up')))
  await deaf.ecs.close()
  expect(await alive(idsOf(line))).toEqual([])
})

test('close in the middle of a start leaves nothing behind', async () => {
  const { client, ecs, lines } = await startEcs(FAMILY, { latencies: { provisioningMs: 1, pendingMs: 60_000 } })
  await runOne(client)
  await ecs.close()
  expect(lines).toEqual([])
})

/** A task with a volume of its own. */
const WITH_DISK = template(
  { MountPoints: [{ SourceVolume: 'own', ContainerPath: '/own' }] },
  { Volumes: [{ Name: 'own' }] },
)

/** An endpoint in a process of its own, to be killed. */
async function endpointProcess(stateDir: string): Promise<{ url: string; process: ChildProcess }> {
  const local = await image(FAMILY)
  const module = (name: string) => JSON.stringify(new URL(`../../../../local/ecs/${name}`, import.meta.url).href)
  const program = `
    import { createEcs } from ${module('ecs.ts')}
    import { createProcessBackend } from ${module('process-backend.ts')}
    const stateDir = ${JSON.stringify(stateDir)}
    const ecs = await createEcs({
      stateDir,
      resources: ${JSON.stringify(WITH_DISK)},
      backend: await createProcessBackend({ stateDir, images: () => (${JSON.stringify(local)}) }),
      latencies: { provisioningMs: 1, pendingMs: 1 },
      onEvent: () => {},
      onLog: ({ line }) => console.log(line),
    })
    console.log('url', ecs.url)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const url = await said(child, 'url')
  return { url, process: child }
}

function said(child: ChildProcess, word: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const line = text.split('\n').find((each) => each.startsWith(`${word} `))
      if (line) resolve(line.slice(word.length + 1))
    })
    child.once('exit', (code) => reject(new Error(`The endpoint ended with ${code}: ${text}`)))
  })
}

test('after the runtime was killed, the next one kills what it left, removes its disk, and reports the task', async () => {
  const stateDir = await folder()
  const killed = await endpointProcess(stateDir)
  const up = said(killed.process, 'up')
  const { taskArn } = await runOne(clientOf(killed.url))
  const pids = (await up).split(' ').map(Number)
  // The endpoint writes the process down right after its start.
  await expect
    .poll(async () => (await readFile(join(stateDir, 'ecs.json'), 'utf8')).includes(`"pid":${pids[0]}`))
    .toBe(true)
  const ended = new Promise((resolve) => killed.process.once('exit', resolve))
  killed.process.kill('SIGKILL')
  await ended
  expect(await alive(pids)).toHaveLength(2)
  expect(existsSync(join(taskDisk(taskArn), 'own'))).toBe(true)

  const seen = witness()
  const after = await startEcs(FAMILY, { stateDir, onEvent: seen.onEvent })
  expect(await alive(pids)).toEqual([])
  expect(existsSync(taskDisk(taskArn))).toBe(false)
  expect(detailsOf(seen.events, taskArn)).toMatchObject([{ lastStatus: 'STOPPED', stopCode: 'InfrastructureHealth' }])
  await after.ecs.close()
})

test('a process that has got a recorded id meanwhile is left alone', async () => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
  onTestFinished(() => void other.kill('SIGKILL'))
  const pid = other.pid ?? 0
  await killRecorded({ pid, start: 'another start', marks: ['NAME=nobody'] })
  expect(await alive([pid])).toEqual([pid])
  await killRecorded({ pid, start: await processStart(pid), marks: ['NAME=nobody'] })
  await expect.poll(() => alive([pid])).toEqual([])
})

test('while the state cannot be written, calls fail, and no task is left that nobody knows', async () => {
  const defects: unknown[] = []
  const { client, lines, until, ecs, stateDir } = await startEcs(FAMILY, { onDefect: (error) => defects.push(error) })
  const { taskArn } = await runOne(client)
  const { line } = await until(() => lines.find((each) => each.line.startsWith('up')))
  const list = async (desiredStatus: 'RUNNING' | 'STOPPED') =>
    (await client.send(new ListTasksCommand({ cluster: 'containers', desiredStatus }))).taskArns

  const obstacle = join(stateDir, 'ecs.json.new')
  await mkdir(obstacle)
  await expect(runOne(client)).rejects.toThrow('EISDIR')
  expect(await list('RUNNING')).toEqual([taskArn])
  await expect(client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))).rejects.toThrow('EISDIR')
  await ecs.idle()
  expect(await alive(idsOf(line))).toEqual([])
  expect(defects.length).toBeGreaterThan(0)
  await rmdir(obstacle)
  await ecs.close()

  const after = await startEcs(FAMILY, { stateDir })
  expect(detailsOf(after.events, taskArn)).toMatchObject([{ lastStatus: 'STOPPED' }])
})

test('a state file of another version is told', async () => {
  const stateDir = await folder()
  await writeFile(join(stateDir, 'ecs.json'), '{"version":99,"tasks":[]}')
  await expect(startEcs('', { stateDir })).rejects.toThrow('is of version 99, not 1; start afresh with --reset')
})

test('a state file that is not JSON is told, not overwritten', async () => {
  const stateDir = await folder()
  await writeFile(join(stateDir, 'ecs.json'), '{"tasks":')
  await expect(startEcs('', { stateDir })).rejects.toThrow(/ecs\.json is not JSON .*; remove it to start afresh/)
  expect(await readFile(join(stateDir, 'ecs.json'), 'utf8')).toBe('{"tasks":')
})
