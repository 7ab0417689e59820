/**
 * A team's work in real containers: agent, workspace sync and preview as the images that are deployed, with the task definitions' limits.
 * Runs where a Docker engine answers; in .ci/image-test it has to.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { DEFAULT_TASK_SIZE } from '../../shared/contracts/limits.ts'
import {
  PreviewAnswerSchema,
  PreviewLogsAnswerSchema,
  PreviewStatusAnswerSchema,
} from '../../shared/contracts/preview-api.ts'
import { type ContainerProduct, startProductInContainers } from '../support/containers.ts'
import { PreviewVisitor } from '../support/preview-visit.ts'
import type { TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { withWorkspace } from '../support/workspaces.ts'
import { describeWithEngine } from '../unit/local/docker/engine.ts'

const SOON = { timeout: 60_000, interval: 200 } as const
/** 1.2 s: a preview that a test has just stopped visiting is idle soon. */
const IDLE_MINUTES = 0.02
const MIB = 1024 * 1024

/** A server without dependencies (containers of the test engine's bridge reach no package registry) that tells what it can do. */
const SERVER = `const { createHash } = require('node:crypto')
const { writeFileSync } = require('node:fs')
const attempt = (path) => { try { writeFileSync(path, ''); return 'yes' } catch (error) { return error.code } }
const server = require('node:http').createServer((request, response) => response.end(JSON.stringify({
  text: 'Before the change', user: process.getuid() + ':' + process.getgid(), cookie: request.headers.cookie,
  writes: { workspace: attempt('/workspaces/workspace/by-preview'), root: attempt('/opt/by-preview'), disk: attempt('/tmp/by-preview') },
})))
server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  const accept = createHash('sha1').update(key).digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n')
  socket.write(Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]))
})
server.listen(process.env.PORT, process.env.HOST, () => console.log('the server listens'))
`
const FILES = { 'package.json': '{"scripts": {"start": "node server.js"}}\n', 'server.js': SERVER }

async function create(member: TestMember): Promise<string> {
  const { status, body } = await member.call('POST', '/api/preview/create', {})
  expect(status, JSON.stringify(body)).toBe(200)
  return PreviewAnswerSchema.parse(body).url
}

const preview = async (member: TestMember) =>
  PreviewStatusAnswerSchema.parse((await member.call('GET', '/api/preview/status')).body).workspace

/** Resolves when the preview has this status; rejects with what it is instead. */
const previewIs = (member: TestMember, wanted: string) =>
  vi.waitFor(async () => {
    const view = await preview(member)
    if (view.status !== wanted) throw new Error(`the preview is ${JSON.stringify(view)}`)
    return view
  }, SOON)

async function agentEdits(member: TestMember): Promise<void> {
  const socket = await member.socket()
  const agent = await member.spawn('edit server.js replace "Before the change" with "After the change"', {
    agentType: 'claude',
  })
  const { status } = await socket.ended(agent.id, SOON.timeout)
  expect(status, JSON.stringify(await member.agent(agent.id))).toBe('completed')
}

const shows = (visitor: PreviewVisitor, text: string) =>
  vi.waitFor(async () => expect((await visitor.get('/')).body).toContain(text), SOON)

/** ECS tells of the end a while after the engine has removed the container. */
const endsWithZero = ({ ended }: ContainerProduct, container: string) =>
  vi.waitFor(() => expect(ended.findLast(({ name }) => name === container)).toMatchObject({ exitCode: 0 }), SOON)

describeWithEngine('in a network of their own', () => {
  let product: ContainerProduct
  beforeAll(async () => {
    product = await startProductInContainers('bridge', { idleMinutes: IDLE_MINUTES })
  }, 300_000)
  afterAll(() => product?.close())

  test('a preview is visited, confined, stopped when idle, woken and deleted', {
    timeout: 180_000,
    retry: 0,
  }, async () => {
    const member = await product.member()
    const refused = await member.call('POST', '/api/environments', { repositoryUrl: 'http://127.0.0.1:9999/x.git' })
    expect(refused, 'their loopback is not this machine’s').toMatchObject({ status: 400 })
    await withWorkspace(member)
    for (const [path, content] of Object.entries(FILES))
      expect(await member.call('POST', '/api/ide/file', { path, content, branch: 'main' })).toMatchObject({
        status: 200,
      })
    await create(member)
    const { port, projectType } = await previewIs(member, 'ready')
    expect(projectType).toBe('node')

    // The gateway runs on this machine and reaches the container by its own address.
    const visitor = await PreviewVisitor.enter(await create(member))
    const { status, body } = await visitor.get('/')
    expect([status, JSON.parse(body)]).toEqual([
      200,
      { text: 'Before the change', user: '1000:1000', writes: { workspace: 'EROFS', root: 'EROFS', disk: 'yes' } },
    ])
    expect(await visitor.firstMessage('/hot')).toBe('hello')
    expect((await visitor.getAsStranger('/')).status).toBe(403)
    await expect(visitor.firstMessage('/hot', false)).rejects.toThrow('403')

    const [container, ...others] = await product.containers('preview')
    expect(others).toEqual([])
    const memory = DEFAULT_TASK_SIZE.preview.memory * MIB
    expect(container).toMatchObject({
      Config: { User: '1000:1000' },
      HostConfig: {
        Memory: memory,
        MemorySwap: memory,
        NanoCpus: (DEFAULT_TASK_SIZE.preview.cpu / 1_024) * 1e9,
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
      },
    })
    const mounts = new Map(
      container?.Mounts.map(({ Destination, Type, RW }) => [Destination, `${Type} ${RW ? 'rw' : 'ro'}`]),
    )
    expect(Object.fromEntries(mounts)).toEqual({
      '/workspaces': 'bind ro',
      '/preview': 'volume rw',
      '/cache': 'bind rw',
      '/home/node': 'volume rw',
      '/tmp': 'volume rw',
    })
    const addresses = Object.values(container?.NetworkSettings.Networks ?? {}).map(({ IPAddress }) => IPAddress)
    await expect(fetch(`http://${addresses[0]}:${port}/`).then(({ status }) => status)).resolves.toBe(200)

    await agentEdits(member)
    await shows(visitor, 'After the change')
    const logs = PreviewLogsAnswerSchema.parse((await member.call('GET', '/api/preview/logs/workspace')).body).logs
    expect(JSON.stringify(logs)).toContain('the server listens')

    await vi.waitFor(async () => {
      const { functionError } = await product.runtime.lambda.invoke(
        product.runtime.functionOf('reconcile-tasks').arn,
        {},
      )
      expect(functionError).toBeUndefined()
      expect((await preview(member)).status).toBe('stopped')
    }, SOON)
    await vi.waitFor(async () => expect(await product.containers('preview')).toEqual([]), SOON)
    await endsWithZero(product, 'preview')
    // As the page does that the gateway shows meanwhile: it asks again and again.
    await shows(visitor, 'After the change')

    expect(await member.call('POST', '/api/preview/stop', {})).toMatchObject({ status: 200 })
    await previewIs(member, 'stopped')
    expect(await member.call('DELETE', `/api/environments/${member.teamId}`)).toMatchObject({ status: 200 })
    await vi.waitFor(async () => expect(await product.remains()).toMatchObject([{ Driver: 'bridge' }]), SOON)
    await endsWithZero(product, 'sync')
  })
})

describeWithEngine('on this machine’s network', () => {
  let product: ContainerProduct
  let repository: Repository
  beforeAll(async () => {
    product = await startProductInContainers('host', { idleMinutes: 60 })
    repository = await Repository.start(FILES)
  }, 300_000)
  afterAll(async () => {
    await product?.close()
    await repository?.close()
  })

  test('an agent edits what the team’s repository holds: it is pushed, and the preview shows it', {
    timeout: 180_000,
    retry: 0,
  }, async () => {
    const member = await product.member()
    await withWorkspace(member, repository.url)
    await create(member)
    await previewIs(member, 'ready')
    const visitor = await PreviewVisitor.enter(await create(member))
    await shows(visitor, 'Before the change')
    expect(await visitor.firstMessage('/hot')).toBe('hello')
    await agentEdits(member)
    await shows(visitor, 'After the change')
    await vi.waitFor(() => expect(repository.file('server.js')).toContain('After the change'), SOON)
    expect(repository.messages()[0]).toMatch(/Co-authored-by: .*@agents\.covibes\.invalid/)

    // Ctrl-C with everything running: each container gets its SIGTERM, and nothing stays in the engine.
    await product.close()
    expect(await product.remains()).toEqual([])
  })
})
