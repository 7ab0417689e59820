import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientEvents } from '../../../shared/contracts/socket-events.ts'
import { onConnect } from '../../../shared/domain/realtime/websocket-events.ts'
import { appendOutput } from '../../../shared/domain/terminal/append.ts'
import { createBench, TEAM } from './support/bench.ts'
import { connectPacket, event, rawSocket } from './support/raw-socket.ts'

const TOKEN = `user-1@${TEAM}`

describe('CONNECT', () => {
  it('takes up the events that were handled before it, in the order in which the gateway received them', async () => {
    const bench = createBench()
    bench.world.addAgent({ id: 'agent-1' })
    const socket = await rawSocket(bench)
    await socket.handle(event('terminal_disconnect', { agentId: 'agent-1' }), 1_003)
    await socket.handle(event('terminal_connect', { agentId: 'agent-1' }), 1_002)
    await socket.handle(event('join-team', { teamId: TEAM, token: TOKEN }), 1_001)
    expect(socket.frames).toEqual([])
    await socket.handle(connectPacket({ token: TOKEN }), 1_000)
    expect(socket.frames[0]).toMatch(/^40\{/)
    expect(socket.events().map(([name]) => name)).toEqual(['team-joined', 'terminal_connected'])
    expect(bench.world.sessions.sessions.get(socket.sid)).toMatchObject({ terminals: {}, early: [] })
  })

  it('closes a connection that says too much before it', async () => {
    const bench = createBench()
    const socket = await rawSocket(bench)
    for (let i = 0; i < 17; i++) await socket.handle(event('join-team', TEAM), 1_000 + i)
    expect(socket.isClosed()).toBe(true)
  })

  it.each([
    ['without a token', {}],
    ['with a bad one', { token: 'nobody' }],
    ['with something else', { token: 7 }],
  ])('is refused %s, for good', async (_name, auth) => {
    const bench = createBench()
    const socket = await rawSocket(bench)
    await socket.handle(connectPacket(auth))
    expect(socket.frames).toEqual(['44{"message":"Authentication failed"}'])
  })

  it('is not answered at all when we cannot tell: the connection closes and the client comes again', async () => {
    const bench = createBench()
    const socket = await rawSocket(bench)
    bench.world.fault.verifyToken = new Error('no secret')
    await expect(socket.handle(connectPacket({ token: TOKEN }))).rejects.toThrow('no secret')
    expect(socket.frames).toEqual([])
    expect(socket.isClosed()).toBe(true)
  })

  it('of another namespace is refused for that namespace only', async () => {
    const bench = createBench()
    const socket = await rawSocket(bench)
    await socket.handle('40/admin,{"token":"x"}')
    await socket.handle(connectPacket({ token: TOKEN }))
    await socket.handle('42/admin,["join-team","x"]')
    expect(socket.frames).toEqual(['44/admin,{"message":"Invalid namespace"}', expect.stringMatching(/^40\{/)])
  })

  it.each([
    ['of nobody', () => 'unknown'],
    ['of another member', (sid: string) => sid],
  ])('with the pid %s begins a fresh session', async (_name, pidOf) => {
    const bench = createBench()
    const theirs = await rawSocket(bench)
    await theirs.handle(connectPacket({ token: TOKEN }))
    await theirs.handle(event('join-team', TEAM))
    const socket = await rawSocket(bench)
    await socket.handle(connectPacket({ token: `user-2@${TEAM}`, pid: pidOf(theirs.sid), offset: 'x' }))
    expect(socket.frames).toEqual([expect.stringMatching(/^40\{/)])
    expect(bench.world.sessions.sessions.get(socket.sid)).not.toHaveProperty('team')
    expect(theirs.isClosed()).toBe(false)
    await bench.run(() => bench.world.tell(TEAM))
    expect(theirs.events().map(([name]) => name)).toEqual(['team-joined', 'agent-status'])
    expect(socket.events()).toEqual([])
  })

  it('with its pid takes the session over, closes the earlier connection, and repeats lost replies', async () => {
    const bench = createBench()
    const first = await rawSocket(bench)
    await first.handle(connectPacket({ token: TOKEN }))
    await first.handle(event('join-team', TEAM))
    const second = await rawSocket(bench)
    await second.handle(connectPacket({ token: TOKEN, pid: first.sid }))
    expect(first.isClosed()).toBe(true)
    expect(bench.world.sessions.sessions.get(first.sid)?.endedAt).toBeDefined()
    expect(second.events().map(([name]) => name)).toEqual(['team-joined'])
    await bench.run(() => bench.world.tell(TEAM, 'once'))
    expect(second.events().map(([name]) => name)).toEqual(['team-joined', 'agent-status'])
  })
})

describe('join-team', () => {
  it.each([
    ['another team', { teamId: 'team-2' }, 'You are not a member of this team'],
    [
      'another team, by a token of it',
      { teamId: 'team-2', token: 'user-1@team-2' },
      'You are not a member of this team',
    ],
    ['its team by a bad token', { teamId: TEAM, token: 'bad' }, 'Authentication failed'],
    ["its team by somebody else's token", { teamId: TEAM, token: `user-2@${TEAM}` }, 'Authentication failed'],
    ['nothing', {}, 'Invalid payload for join-team'],
  ])('of %s is answered with an error', async (_name, payload, message) => {
    const bench = createBench()
    const socket = await rawSocket(bench)
    await socket.handle(connectPacket({ token: TOKEN }))
    await socket.handle(event('join-team', payload))
    expect(socket.events()).toEqual([['error', { message }, expect.any(String)]])
  })

  it('takes the bare team id of the integration guide, and a repetition changes nothing', async () => {
    const bench = createBench()
    const socket = await rawSocket(bench)
    await socket.handle(connectPacket({ token: TOKEN }))
    await socket.handle(event('join-team', TEAM))
    await bench.run(() => bench.world.tell(TEAM, 'one'))
    await bench.run(() => bench.world.commit(TEAM, 'two'))
    await socket.handle(event('join-team', { teamId: TEAM, token: TOKEN }))
    expect(socket.events().map(([name]) => name)).toEqual([
      'team-joined',
      'agent-status',
      'team-joined',
      'agent-status',
    ])
  })
})

describe('walls between teams', () => {
  it('let no terminal through, and do not tell that it exists', async () => {
    const bench = createBench()
    bench.world.addAgent({ id: 'agent-1' })
    bench.world.addAgent({ id: 'deleted', deletedAt: '2026-01-01T00:00:00.000Z' })
    bench.world.addSync({ id: 'sync' })
    const stranger = await rawSocket(bench)
    await stranger.handle(connectPacket({ token: 'eve@team-2' }))
    const member = await rawSocket(bench)
    await member.handle(connectPacket({ token: TOKEN }))
    const refusal = (agentId: string) => ['terminal_error', { agentId, error: 'Agent not found' }, expect.any(String)]
    await stranger.handle(event('terminal_connect', { agentId: 'agent-1' }))
    await stranger.handle(event('terminal_input', { agentId: 'agent-1', data: 'x' }))
    await stranger.handle(event('terminal_resize', { agentId: 'agent-1', cols: 80, rows: 24 }))
    await stranger.handle(event('terminal_connect', { agentId: `../${TEAM}/agent-1` }))
    const output = { generation: 1, offset: 0, data: 'secret' }
    await bench.run(() => appendOutput({ teamId: TEAM, id: 'agent-1' }, output, bench.deps))
    expect(stranger.events()).toEqual([
      ...Array.from({ length: 3 }, () => refusal('agent-1')),
      refusal(`../${TEAM}/agent-1`),
    ])
    for (const agentId of ['deleted', 'sync', 'nothing']) await member.handle(event('terminal_connect', { agentId }))
    expect(member.events()).toEqual(['deleted', 'sync', 'nothing'].map(refusal))
  })
})

describe('leaving', () => {
  it('by a Socket.IO disconnect ends everything for good', async () => {
    const bench = createBench()
    const first = await rawSocket(bench)
    await first.handle(connectPacket({ token: TOKEN }))
    await first.handle(event('join-team', TEAM))
    await first.handle('41')
    await bench.run(() => bench.world.tell(TEAM))
    expect(first.events().map(([name]) => name)).toEqual(['team-joined'])
    const second = await rawSocket(bench)
    await second.handle(connectPacket({ token: TOKEN, pid: first.sid }))
    expect(bench.world.sessions.sessions.get(second.sid)).not.toHaveProperty('team')
  })
})

describe('a WebSocket', () => {
  it.each([
    ['of another protocol', { EIO: '3', transport: 'websocket' }],
    ['of no session', { EIO: '4', transport: 'websocket', sid: 'nobody' }],
    ['of no protocol', {}],
  ])('%s is refused', async (_name, query) => {
    const bench = createBench()
    expect(await bench.run(() => onConnect({ connectionId: 'c', headers: {}, query }, bench.deps))).toBe(400)
  })

  it('with anything on it never throws: it is closed, or goes on', async () => {
    const known = fc.constantFrom<unknown>(TEAM, 'agent-1', '__proto__', '', null, 1, -1, 'x'.repeat(5_000), 'restart')
    const payloads = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(
        fc.constantFrom('teamId', 'message', 'agentId', 'containerId', 'action', 'data', 'cols', 'rows', 'token'),
        fc.oneof(known, fc.jsonValue()),
      ),
    )
    const frames = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json().map((text) => `42${text}`),
      fc.jsonValue().map((auth) => `40${JSON.stringify(auth)}`),
      fc.constantFrom(
        '',
        '2probe',
        '2',
        '5',
        '6',
        '3',
        '1',
        '4',
        '40',
        '40{',
        '42',
        '42[]',
        '42[1]',
        '421["join-team"]',
        '41',
        '45',
        'bAQID',
      ),
      fc.tuple(fc.constantFrom(...Object.keys(clientEvents)), payloads).map(([name, payload]) => event(name, payload)),
      fc.constant('{"action":"link","type":"hello","protocol":1}'),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(frames, { maxLength: 6 }), fc.boolean(), async (texts, isConnected) => {
        const bench = createBench()
        bench.world.addAgent({ id: 'agent-1' })
        const socket = await rawSocket(bench)
        if (isConnected) await socket.handle(connectPacket({ token: TOKEN }))
        for (const text of texts) await socket.handle(text)
        await bench.run(() => bench.world.tell(TEAM))
        expect(bench.gateway.failures).toEqual([])
        expect(bench.world.logged.filter(({ level }) => level === 'error')).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})
