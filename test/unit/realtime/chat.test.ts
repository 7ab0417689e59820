import { describe, expect, it } from 'vitest'
import { ChatMessageSchema } from '../../../shared/contracts/socket-events.ts'
import { CHAT_RATE, chatEntry, newestThatFit } from '../../../shared/domain/chat/message.ts'
import { Conflict } from '../../../shared/domain/errors.ts'
import { publishEntries } from '../../../shared/domain/realtime/publishing.ts'
import { type Bench, createBench, TEAM } from './support/bench.ts'
import { event, joinedSocket } from './support/raw-socket.ts'

const say = (message: unknown, teamId: unknown = TEAM) => event('chat-message', { teamId, message })
const textsOf = (payload: unknown) => (payload as { messages: { content: string }[] }).messages.map((m) => m.content)
const joinsOf = (socket: Awaited<ReturnType<typeof joinedSocket>>) =>
  socket.events().flatMap(([name, payload]) => (name === 'team-joined' ? [textsOf(payload)] : []))
const chatsOf = (socket: Awaited<ReturnType<typeof joinedSocket>>) =>
  socket
    .events()
    .flatMap(([name, payload]) => (name === 'chat-message' ? [(payload as { content: string }).content] : []))

/** A message that was committed and of which nobody has been told yet. */
const commit = (bench: Bench, text: string) =>
  bench.run(() =>
    bench.deps.chat.append(
      chatEntry(
        { userId: 'user-9', teamId: TEAM, userName: 'Nine' },
        { id: text.slice(0, 10), text, at: bench.time.now().getTime(), correlationId: 'test' },
      ),
    ),
  )

describe('a chat message', () => {
  it('reaches every member and its sender, once, in both shapes that the frontend reads', async () => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    const bob = await joinedSocket(bench, `bob@${TEAM}`)
    const eve = await joinedSocket(bench, 'eve@team-2')
    await ada.handle(say('hello'), 1_700_000_000_000.5)
    const at = '2023-11-14T22:13:20.000Z'
    for (const socket of [ada, bob]) {
      expect(socket.events().slice(1)).toEqual([
        [
          'chat-message',
          {
            id: expect.any(String),
            userId: 'ada',
            teamId: TEAM,
            user: { userName: 'name of ada' },
            userName: 'name of ada',
            content: 'hello',
            message: 'hello',
            createdAt: at,
            timestamp: at,
          },
          expect.any(String),
        ],
      ])
    }
    expect(eve.events().map(([name]) => name)).toEqual(['team-joined'])
    expect([...bench.world.ledger.unsettled]).toEqual([])
  })

  it.each([
    ['for another team', say('x', 'team-2'), 'You are not a member of this team'],
    ['without text', say(' \n'), 'A chat message needs some text'],
    ['that is empty', say(''), 'Invalid payload for chat-message'],
    ['that is too long', say('x'.repeat(4_001)), 'Invalid payload for chat-message'],
    ['that becomes too long as JSON', say('\u0001'.repeat(2_100)), 'Invalid payload for chat-message'],
    ['that is no text', say({ toString: 'x' }), 'Invalid payload for chat-message'],
  ])('%s is refused', async (_name, packet, message) => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    await ada.handle(packet)
    expect(ada.events().slice(1)).toEqual([['error', { message }, expect.any(String)]])
    expect(bench.world.ledger.ledgerOf(TEAM)).toEqual([])
  })

  it('is one too many within the window, and welcome after it', async () => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    for (let n = 0; n <= CHAT_RATE.messages; n++) await ada.handle(say(`message ${n}`), 1_000 + n)
    expect(chatsOf(ada)).toHaveLength(CHAT_RATE.messages)
    expect(ada.events().at(-1)?.[1]).toEqual({ message: 'Too many chat messages; wait a moment' })
    await bench.time.pass(CHAT_RATE.windowMs)
    await ada.handle(say('again'), 90_000)
    expect(chatsOf(ada).at(-1)).toBe('again')
  })

  it('of which its function could not tell anybody is told by the sweep', async () => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    await commit(bench, 'lost')
    expect(chatsOf(ada)).toEqual([])
    await bench.run(() => publishEntries([...bench.world.ledger.unsettled.values()], bench.deps))
    expect(chatsOf(ada)).toEqual(['lost'])
  })
})

describe('the history at join-team', () => {
  it('is the newest 50, oldest first', async () => {
    const bench = createBench()
    for (let n = 1; n <= 53; n++) await commit(bench, `m${n}`)
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    expect(joinsOf(ada)).toEqual([Array.from({ length: 50 }, (_, i) => `m${i + 4}`)])
  })

  it('ends where the events begin: what was committed but not told comes once, after it', async () => {
    const bench = createBench()
    await commit(bench, 'before')
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    await commit(bench, 'between')
    await ada.handle(event('join-team', TEAM))
    expect(joinsOf(ada)).toEqual([['before'], ['before']])
    expect(chatsOf(ada)).toEqual(['between'])
    await ada.handle(event('join-team', TEAM))
    expect(joinsOf(ada).at(-1)).toEqual(['before', 'between'])
    expect(chatsOf(ada)).toEqual(['between'])
  })

  it('fits into one frame over a WebSocket: the oldest are left out', async () => {
    const bench = createBench()
    for (let n = 0; n < 10; n++) await commit(bench, String(n).repeat(4_000))
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    const [frame = ''] = ada.frames.filter((text) => text.includes('team-joined'))
    expect(Buffer.byteLength(frame)).toBeLessThan(32 * 1024)
    expect(joinsOf(ada)[0]?.map((text) => text[0])).toEqual(['7', '8', '9'])
  })

  it('is kept within bytes of JSON, not characters', () => {
    const [, message] = chatEntry(
      { userId: 'u', teamId: 't', userName: 'ü' },
      { id: 'i', text: '\u0001', at: 0, correlationId: 'c' },
    ).event
    const bytes = Buffer.byteLength(JSON.stringify(message)) + 1
    expect(newestThatFit([message, message, message], 2 * bytes)).toHaveLength(2)
    expect(newestThatFit([message, message, message], 2 * bytes - 1)).toHaveLength(1)
    expect(newestThatFit([], 0)).toEqual([])
    expect(ChatMessageSchema.parse(message)).toEqual(message)
  })
})

describe('container_action', () => {
  const press = event('container_action', { containerId: 'agent-1', action: 'restart' })

  it('is done in the name of the member, and not answered', async () => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    await ada.handle(press)
    expect(bench.world.actions).toEqual([{ containerId: 'agent-1', action: 'restart', userId: 'ada', teamId: TEAM }])
    expect(ada.events()).toHaveLength(1)
  })

  it('that is refused is told as error', async () => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    bench.world.fault.containerAction = new Conflict('No free slot')
    await ada.handle(press)
    await ada.handle(event('container_action', { containerId: 'agent-1', action: 'explode' }))
    expect(ada.events().slice(1)).toEqual([
      ['error', { message: 'No free slot' }, expect.any(String)],
      ['error', { message: 'Invalid payload for container_action' }, expect.any(String)],
    ])
  })

  it('that fails otherwise closes the connection, so that the client comes again', async () => {
    const bench = createBench()
    const ada = await joinedSocket(bench, `ada@${TEAM}`)
    bench.world.fault.containerAction = new Error('the database is on fire')
    await expect(ada.handle(press)).rejects.toThrow('on fire')
    expect(ada.isClosed()).toBe(true)
    expect(ada.frames.join('')).not.toContain('fire')
  })
})
