import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { StopTaskCommand } from '@aws-sdk/client-ecs'
import { expect, onTestFinished, test } from 'vitest'
import { openEngine } from '../../../../local/docker/engine-api.ts'
import { labelsOf } from '../../../../local/docker/labels.ts'
import { removeLeftovers, removeRemembered } from '../../../../local/docker/leftovers.ts'
import { said, startProgram } from '../ecs/backend-contract.ts'
import { folder, runOne, stopped } from '../ecs/support.ts'
import { BASE, describeWithEngine, HOST, underTest } from './engine.ts'

const UP = 'console.log("up"); setInterval(() => {}, 1000)'
const TRY = `
  import fs from 'node:fs'
  const attempt = (name, run) => { try { run(); console.log(name, 'yes') } catch (error) { console.log(name, error.code) } };`

/** Everything that the runtime of a state folder has in the engine. */
async function remains(stateDir: string): Promise<Record<string, unknown>> {
  const engine = openEngine(HOST)
  const filters = labelsOf(stateDir).filter()
  const list = async (path: string, more = {}) => engine.call('GET', path, { query: { filters, ...more } })
  return {
    containers: await list('/containers/json', { all: 'true' }),
    volumes: ((await list('/volumes')) as { Volumes: unknown[] | null }).Volumes ?? [],
    networks: await list('/networks'),
  }
}
const NOTHING = { containers: [], volumes: [], networks: [] }

describeWithEngine('a container in an engine', () => {
  test('runs as its definition says: user, read-only root, no capabilities, cpu and memory', async () => {
    const { client, events, lines, until } = await startProgram(
      underTest(),
      `${TRY}
       import { execFileSync } from 'node:child_process'
       console.log(process.getuid() + ':' + process.getgid(), process.cwd())
       attempt('root', () => fs.writeFileSync('/x', ''))
       attempt('home', () => fs.writeFileSync('/home/node/x', ''))
       attempt('tmpfs', () => fs.writeFileSync('/scratch/x', ''))
       const status = fs.readFileSync('/proc/self/status', 'utf8')
       for (const name of ['CapEff', 'CapBnd', 'NoNewPrivs']) console.log(name, new RegExp(name + ':\\\\s*(\\\\w+)').exec(status)[1])
       const read = (v2, v1) => fs.readFileSync(fs.existsSync(v2) ? v2 : v1, 'utf8').trim()
       console.log('memory', read('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'))
       console.log('cpu', read('/sys/fs/cgroup/cpu.max', '/sys/fs/cgroup/cpu/cpu.cfs_quota_us').split(' ')[0])`,
      {
        User: '1000:1000',
        WorkingDirectory: '/tmp',
        ReadonlyRootFilesystem: true,
        LinuxParameters: {
          Capabilities: { Drop: ['ALL'] },
          Tmpfs: [{ ContainerPath: '/scratch', Size: 16, MountOptions: ['noexec'] }],
        },
        MountPoints: [{ SourceVolume: 'home', ContainerPath: '/home/node' }],
      },
      { Volumes: [{ Name: 'home' }] },
    )
    const { taskArn } = await runOne(client)
    await until(() => stopped(events, taskArn))
    expect(said(lines)).toEqual([
      '1000:1000 /tmp',
      'root EROFS',
      // The volume begins as the image has the folder: its owner's.
      'home yes',
      'tmpfs yes',
      'CapEff 0000000000000000',
      'CapBnd 0000000000000000',
      'NoNewPrivs 1',
      `memory ${512 * 1024 * 1024}`,
      'cpu 25000',
    ])
  })

  test('that takes more memory than its task has is killed, and its reason is ECS’s', async () => {
    const { client, events, until } = await startProgram(
      underTest(),
      'const all = []; for (;;) all.push(Buffer.alloc(1_000_000, 1))',
      { Memory: 64 },
    )
    const { taskArn } = await runOne(client)
    expect(await until(() => stopped(events, taskArn))).toMatchObject({
      stopCode: 'EssentialContainerExited',
      containers: [{ exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' }],
    })
  })

  test('cannot write to what is mounted for reading, by mount point or by policy', async () => {
    const shared = await folder()
    await writeFile(join(shared, 'there'), '')
    for (const [pointReadOnly, mountReadOnly] of [
      [true, false],
      [false, true],
    ] as const) {
      const { client, events, lines, until } = await startProgram(
        underTest(),
        `${TRY} attempt('read', () => fs.readFileSync('/w/there')); attempt('write', () => fs.writeFileSync('/w/x', ''))`,
        { MountPoints: [{ SourceVolume: 'w', ContainerPath: '/w', ReadOnly: pointReadOnly }] },
        { Volumes: [{ Name: 'w', EFSVolumeConfiguration: { FilesystemId: 'fs-1' } }] },
        { mountEfs: async () => ({ directory: shared, readOnly: mountReadOnly }) },
      )
      const { taskArn } = await runOne(client)
      await until(() => stopped(events, taskArn))
      expect(said(lines)).toEqual(['read yes', 'write EROFS'])
    }
  })

  test('reaches nothing on this machine’s loopback but what its variables name', async () => {
    const ports: number[] = []
    for (const name of ['named', 'unnamed']) {
      const server = createServer((_request, response) => response.end(name))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void server.close())
      ports.push((server.address() as AddressInfo).port)
    }
    const { client, events, lines, until } = await startProgram(
      underTest(),
      `const { LINK, OTHER } = process.env
       const gateway = new URL(LINK).hostname
       for (const url of [LINK, 'http://127.0.0.1:' + OTHER, 'http://' + gateway + ':' + OTHER])
         console.log(await fetch(url).then((answer) => answer.text(), (error) => error.cause.code))`,
      {
        Environment: [
          { Name: 'LINK', Value: `http://127.0.0.1:${ports[0]}/` },
          { Name: 'OTHER', Value: String(ports[1]) },
        ],
      },
    )
    const { taskArn } = await runOne(client)
    await until(() => stopped(events, taskArn))
    expect(said(lines)).toEqual(['named', 'ECONNREFUSED', 'ECONNREFUSED'])
  })

  test('leaves nothing in the engine when its task has ended, nor does the runtime', async () => {
    const volume = { MountPoints: [{ SourceVolume: 'data', ContainerPath: '/data' }] }
    const { client, ecs, lines, until, stateDir } = await startProgram(underTest(), UP, { ...volume, StopTimeout: 1 })
    const { taskArn } = await runOne(client)
    await until(() => lines.find(({ line }) => line === 'up'))
    expect(await remains(stateDir)).toMatchObject({ containers: [{}], volumes: [{}], networks: [{}] })
    await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))
    await ecs.idle()
    expect(await remains(stateDir)).toMatchObject({ containers: [], volumes: [], networks: [{}] })
    await ecs.close()
    expect(await remains(stateDir)).toEqual(NOTHING)
  })

  test('of a runtime that died is removed by the next one, also when that one uses processes', async () => {
    const stateDir = await folder()
    const volume = { MountPoints: [{ SourceVolume: 'data', ContainerPath: '/data' }] }
    const { client, lines, until } = await startProgram(underTest(), UP, volume, {}, { stateDir })
    await runOne(client)
    await until(() => lines.find(({ line }) => line === 'up'))
    // The same as what a next runtime does first; this one has not closed.
    await removeRemembered(stateDir)
    expect((await remains(stateDir)).containers).toEqual([])
    await removeRemembered(stateDir)
  })

  test('whose engine goes away has ended, and says so; the next one does not start', async () => {
    const real = HOST.replace(/^unix:\/\//, '')
    const path = join(await folder(), 'engine.sock')
    const sockets = new Set<Socket>()
    const proxy = createNetServer((inbound) => {
      const outbound = connect(real)
      for (const [one, other] of [
        [inbound, outbound],
        [outbound, inbound],
      ] as const) {
        sockets.add(one)
        one.pipe(other)
        one.on('error', () => other.destroy()).on('close', () => other.destroy())
      }
    })
    await new Promise<void>((resolve) => proxy.listen(path, resolve))
    const { client, events, lines, until, stateDir, ecs } = await startProgram(
      underTest({ host: `unix://${path}` }),
      UP,
    )
    const { taskArn } = await runOne(client)
    await until(() => lines.find(({ line }) => line === 'up'))
    const gone = new Promise((resolve) => proxy.close(resolve))
    for (const socket of sockets) socket.destroy()
    await gone
    expect(await until(() => stopped(events, taskArn))).toMatchObject({
      stopCode: 'EssentialContainerExited',
      containers: [{ exitCode: 255, reason: expect.stringMatching(/^The Docker engine lost the container: /) }],
    })
    const next = await runOne(client)
    expect(await until(() => stopped(events, next.taskArn))).toMatchObject({
      stopCode: 'TaskFailedToStart',
      stoppedReason: expect.stringMatching(/^CannotStartContainerError: .*engine at unix:.* cannot be reached/),
    })
    await ecs.close()
    expect(await remains(stateDir)).toMatchObject({ containers: [{}], networks: [{}] })
    await removeLeftovers(openEngine(HOST), labelsOf(stateDir))
    expect(await remains(stateDir)).toEqual(NOTHING)
  })

  test('runs what its Dockerfile makes, built once, on the base that is given', async () => {
    const directory = await folder()
    await mkdir(join(directory, 'image'))
    await writeFile(
      join(directory, 'image', 'Dockerfile'),
      'ARG BASE=none\nFROM $BASE\nARG GREETING\nENV GREETING=$GREETING\nCOPY main.mjs /main.mjs\nCMD ["node", "/main.mjs"]\n',
    )
    await writeFile(join(directory, 'main.mjs'), 'console.log(process.env.GREETING, process.argv.length)')
    const hash = `test-${process.pid}-${Date.now()}`
    const asset = { hash, directory, dockerFile: 'image/Dockerfile', buildArgs: { GREETING: 'hello' } }
    const built: string[] = []
    const backend = underTest(
      { onLog: (line) => built.push(line), ...(process.env.DOCKER ? { docker: process.env.DOCKER } : {}) },
      { 'image:1': { ...asset, target: undefined, platform: undefined } },
    )
    const { client, events, lines, until } = await startProgram(backend, '', {
      Image: 'image:1',
      EntryPoint: undefined,
    })
    for (let count = 1; count <= 2; count += 1) {
      const { taskArn } = await runOne(client)
      expect(await until(() => stopped(events, taskArn))).toMatchObject({ containers: [{ exitCode: 0 }] })
    }
    expect(said(lines)).toEqual(['hello 2', 'hello 2'])
    expect(built.join('\n')).toContain('COPY main.mjs')
    const engine = openEngine(HOST)
    const images = (await engine.call('GET', '/images/json')) as { RepoTags: string[] | null }[]
    const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((tag) => tag.startsWith('covibes-local:'))
    const made = tags.filter((tag) => built.some((line) => line.includes(tag)))
    for (const tag of made) await engine.call('DELETE', `/images/${encodeURIComponent(tag)}`)
    expect(made).toHaveLength(1)
  })

  test('whose Dockerfile does not build fails to start, with the build’s last words', async () => {
    const directory = await folder()
    await writeFile(join(directory, 'Dockerfile'), `FROM ${BASE}\nRUN echo it is broken && exit 3\n`)
    const asset = {
      hash: directory,
      directory,
      dockerFile: 'Dockerfile',
      buildArgs: {},
      target: undefined,
      platform: undefined,
    }
    const backend = underTest(process.env.DOCKER ? { docker: process.env.DOCKER } : {}, { 'image:1': asset })
    const { client, events, until } = await startProgram(backend, '', { Image: 'image:1' })
    const { taskArn } = await runOne(client)
    const { stoppedReason } = await until(() => stopped(events, taskArn))
    expect(stoppedReason).toMatch(
      /^CannotPullContainerError: Dockerfile could not be built: docker build ended with 1:\n/,
    )
    expect(stoppedReason).toContain('it is broken')
  })
})

test('an engine that cannot be spoken to is told', async () => {
  const stateDir = await folder()
  const open = (host: string) => underTest({ host }).open(stateDir)
  await expect(open('ssh://somewhere')).rejects.toThrow('DOCKER_HOST=ssh://somewhere: only unix:// and tcp://')
  await expect(open(`unix://${stateDir}/none.sock`)).rejects.toThrow(
    /engine at unix:.*none.sock cannot be reached: .*ENOENT/,
  )
})
