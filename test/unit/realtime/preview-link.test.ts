import { describe, expect, it } from 'vitest'
import type { LinkDown } from '../../../shared/contracts/link.ts'
import { Unavailable } from '../../../shared/domain/errors.ts'
import { onContainerMessage } from '../../../shared/domain/realtime/websocket-events.ts'
import { createBench, TEAM } from './support/bench.ts'
import { event, joinedSocket } from './support/raw-socket.ts'

const AT = Date.parse('2026-01-01T00:00:00.500Z')

/** The link of a container, spoken by hand. */
async function linked(bench: ReturnType<typeof createBench>, id: string) {
  const heard: LinkDown[] = []
  const peer = { message: (text: string) => void heard.push(JSON.parse(text) as LinkDown), closed() {} }
  const headers = { 'x-covibes-environment': `${TEAM}/${id}/1`, authorization: `Link ${'k'.repeat(32)}` }
  const connectionId = (await bench.run(() => bench.gateway.connect(peer, {}, headers))) ?? ''
  const say = (message: Record<string, unknown>) =>
    bench.run(() =>
      onContainerMessage(
        {
          connectionId,
          text: JSON.stringify({ action: 'link', ...message }),
          received: { at: AT, requestId: 'r-1' },
        },
        bench.deps,
      ),
    )
  return { heard, say, hello: () => say({ type: 'hello', protocol: 1 }) }
}

function benchWithPreview() {
  const bench = createBench()
  bench.world.addPreview({ id: 'preview-1' })
  bench.world.addAgent({ id: 'agent-1' })
  bench.world.addSync({ id: 'sync-1' })
  return bench
}
const REPORT = { phase: 'ready', projectType: 'vite', command: 'npm run dev' } as const

describe('a preview’s container', () => {
  it('is told its branch and port, and from which byte of its log it is to go on', async () => {
    const bench = benchWithPreview()
    const first = await linked(bench, 'preview-1')
    await first.hello()
    expect(first.heard).toEqual([{ type: 'welcome-preview', branch: 'workspace', port: 5000, acknowledged: 0 }])
    await first.say({ type: 'output', offset: 0, data: 'VITE ready\n' })
    await bench.until(() => first.heard.length === 2, 'the acknowledgement')
    expect(first.heard[1]).toEqual({ type: 'ack', offset: 11 })
    const second = await linked(bench, 'preview-1')
    await second.hello()
    expect(second.heard).toMatchObject([{ type: 'welcome-preview', acknowledged: 11 }])
  })

  it('says how far it is, by when the gateway received it', async () => {
    const bench = benchWithPreview()
    const preview = await linked(bench, 'preview-1')
    await preview.hello()
    await preview.say({ type: 'preview', ...REPORT })
    expect(bench.world.previewReports).toEqual([
      { ref: { teamId: TEAM, id: 'preview-1', generation: 1 }, report: REPORT, at: new Date(AT) },
    ])
  })

  it.each([
    ['an agent', 'agent-1', { type: 'preview', ...REPORT }],
    ['workspace sync', 'sync-1', { type: 'preview', ...REPORT }],
    ['a preview', 'preview-1', { type: 'sync', state: 'synced' }],
    ['a preview', 'preview-1', { type: 'ask-authors', id: 'q', since: '2026-01-01T00:00:00.000Z' }],
  ])('%s may not send what is another’s to say', async (_, id, message) => {
    const bench = benchWithPreview()
    const container = await linked(bench, id)
    await container.hello()
    const before = container.heard.length
    await container.say(message)
    expect(bench.world.previewReports).toEqual([])
    expect(bench.world.reports).toEqual([])
    expect(container.heard.length).toBe(before)
  })
})

describe('the frontend’s socket', () => {
  const answers = (socket: Awaited<ReturnType<typeof joinedSocket>>) =>
    socket
      .events()
      .filter(([name]) => String(name).startsWith('preview-'))
      .map(([name, payload]) => [name, payload])

  it('is answered when it asks for a refresh, with whatever repository it names', async () => {
    const bench = benchWithPreview()
    const socket = await joinedSocket(bench, `user-1@${TEAM}`)
    await socket.handle(event('preview-refresh', { branch: 'main', repositoryUrl: null }))
    expect(answers(socket)).toEqual([['preview-updated', { branch: 'main', timestamp: expect.any(String) }]])
    expect(bench.world.previewCalls).toEqual([['refresh', TEAM]])
  })

  it('gets status and an address for its member alone', async () => {
    const bench = benchWithPreview()
    const asking = await joinedSocket(bench, `user-1@${TEAM}`)
    const other = await joinedSocket(bench, `user-2@${TEAM}`)
    await asking.handle(event('preview-status'))
    await asking.handle(event('preview-status', { branch: 'main' }))
    expect(answers(asking)).toMatchObject([
      ['preview-status-update', { branch: 'workspace', status: 'running', url: expect.any(String) }],
      ['preview-status-update', { branch: 'main' }],
    ])
    expect(answers(other)).toEqual([])
  })

  it('is given addresses for no longer than the token of its CONNECT is good', async () => {
    const bench = benchWithPreview()
    const claims = Buffer.from(JSON.stringify({ exp: 1_900_000_000 })).toString('base64url')
    const withEnd = await joinedSocket(bench, `user.${claims}.s@${TEAM}`)
    await withEnd.handle(event('preview-status'))
    const withoutEnd = await joinedSocket(bench, `user-1@${TEAM}`)
    await withoutEnd.handle(event('preview-status'))
    expect(bench.world.previewCalls).toEqual([
      ['status', 'workspace', '1900000000000'],
      ['status', 'workspace', '0'],
    ])
  })

  it('stops, and is told in words what was refused', async () => {
    const bench = benchWithPreview()
    const socket = await joinedSocket(bench, `user-1@${TEAM}`)
    await socket.handle(event('preview-stop', { branch: 'staging' }))
    expect(bench.world.previewCalls).toMatchObject([['stop', 'staging', expect.any(String)]])
    bench.world.fault.previews = new Unavailable('the ports are gone')
    await socket.handle(event('preview-refresh', {}))
    expect(answers(socket).at(-1)).toEqual(['preview-error', { branch: 'main', error: 'the ports are gone' }])
    await socket.handle(event('preview-stop', { branch: 'nonsense' }))
    expect(socket.events().at(-1)?.slice(0, 2)).toEqual(['error', { message: 'Invalid payload for preview-stop' }])
  })
})
