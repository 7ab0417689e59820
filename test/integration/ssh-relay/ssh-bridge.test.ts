import { io, type Socket } from 'socket.io-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ControlPlane, startControlPlane } from '../../../docs/spikes/ssh-relay/control-plane.ts'
import { type ExistingServerStandIn, startExistingServer } from '../../../docs/spikes/ssh-relay/existing-server.ts'

const TEAM = 'team-1'
const tokenOf = (userId: string) => `${userId}@${TEAM}`

let existing: ExistingServerStandIn
let plane: ControlPlane
const sockets: Socket[] = []
beforeEach(async () => {
  existing = await startExistingServer()
  plane = await startControlPlane(existing.url, { jitterMs: 10 })
  plane.onSsh.add(TEAM)
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.disconnect()
  await plane.close()
  await existing.close()
  expect(plane.gateway.failures).toEqual([])
})

interface Member {
  readonly socket: Socket
  /** `<event> <agent> <status>`, in the order of arrival. */
  readonly events: string[]
  shown: string
}

async function member(userId: string): Promise<Member> {
  const socket = io(plane.gateway.url, { auth: { token: tokenOf(userId) }, forceNew: true, reconnectionDelay: 50 })
  sockets.push(socket)
  const given: Member = { socket, events: [], shown: '' }
  socket.on('agent-spawned', ({ agent }) => given.events.push(`spawned ${agent.id} ${agent.status}`))
  socket.on('agent-status', ({ agentId, status }) => given.events.push(`status ${agentId} ${status}`))
  socket.on('agent-deleted', ({ agentId }) => given.events.push(`deleted ${agentId}`))
  socket.on('terminal_data', ({ data }) => {
    given.shown += data
  })
  socket.on('terminal_error', ({ error }) => given.events.push(`error ${error}`))
  // As the frontend does: at every connect.
  socket.on('connect', () => socket.emit('join-team', { teamId: TEAM, token: tokenOf(userId) }))
  await new Promise<void>((resolve) => socket.once('team-joined', () => resolve()))
  return given
}

const agent = (id: string, userId: string, status = 'running') => ({ id, teamId: TEAM, userId, status })
const listens = () => vi.waitFor(() => expect(existing.io.of('/').adapter.rooms.get(TEAM)?.size).toBe(1))
const follows = (id: string) =>
  vi.waitFor(() => expect(existing.io.of('/').adapter.rooms.get(`terminal ${id}`)?.size).toBe(1))

async function watch({ socket }: Member, agentId: string): Promise<void> {
  const connected = new Promise<void>((resolve) => socket.once('terminal_connected', () => resolve()))
  socket.emit('terminal_connect', { agentId })
  await connected
}

describe('members of a team on the existing server, with an unmodified client at our endpoint', () => {
  it('are told of its agents, once each and in order, over one connection there for the whole team', async () => {
    const members = await Promise.all(['ann', 'bob', 'cem'].map(member))
    await listens()
    existing.spawn(agent('a', 'ann', 'starting'))
    existing.status('a', 'running')
    existing.status('a', 'running')
    existing.status('a', 'completed')
    existing.remove('a')
    const told = ['spawned a starting', 'status a running', 'status a completed', 'deleted a']
    for (const { events } of members) await vi.waitFor(() => expect(events).toEqual(told))
    expect(plane.legs()).toBe(1)
    await vi.waitFor(() => expect(members.map(({ socket }) => socket.io.engine.transport.name)).toContain('websocket'))
  })

  it('have an agent once that was there before anybody listened: from the list, not from an event', async () => {
    existing.agents.set('a', agent('a', 'ann'))
    expect(await plane.list(TEAM, tokenOf('ann'))).toHaveLength(1)
    const ann = await member('ann')
    await follows('a')
    existing.status('a', 'completed')
    await vi.waitFor(() => expect(ann.events).toEqual(['status a completed']))
  })

  it('do not get back an agent that was deleted while an older list was under way', async () => {
    const ann = await member('ann')
    await listens()
    existing.agents.set('a', agent('a', 'ann'))
    existing.remove('a')
    await vi.waitFor(() => expect(plane.mirror.get(TEAM)?.get('a')?.deleted).toBe(true))
    existing.agents.set('a', agent('a', 'ann'))
    await plane.list(TEAM, tokenOf('ann'))
    existing.spawn(agent('b', 'ann'))
    await vi.waitFor(() => expect(ann.events).toEqual(['spawned b running']))
  })

  it('may open a terminal while its agent starts: it streams when the agent runs', async () => {
    const ann = await member('ann')
    await listens()
    existing.spawn(agent('a', 'ann', 'starting'))
    await vi.waitFor(() => expect(ann.events).toEqual(['spawned a starting']))
    await watch(ann, 'a')
    ann.socket.emit('terminal_input', { agentId: 'a', data: 'early' })
    existing.status('a', 'running')
    await vi.waitFor(() => expect(existing.typed.get('a')).toBe('early'))
    await vi.waitFor(() => expect(ann.shown).toBe('early'))
    expect(ann.events).toEqual(['spawned a starting', 'status a running'])
  })

  it('watch its terminal, the late ones its history too, and only the owner types', async () => {
    existing.agents.set('a', agent('a', 'bob'))
    const [ann, bob] = [await member('ann'), await member('bob')]
    await follows('a')
    await watch(ann, 'a')
    existing.say('a', 'grüße ')
    await vi.waitFor(() => expect(ann.shown).toBe('grüße '))
    await watch(bob, 'a')
    await vi.waitFor(() => expect(bob.shown).toBe('grüße '))
    bob.socket.emit('terminal_input', { agentId: 'a', data: 'ls ' })
    await vi.waitFor(() => expect(existing.typed.get('a')).toBe('ls '))
    bob.socket.emit('terminal_input', { agentId: 'a', data: '-la\r' })
    await vi.waitFor(() => expect(existing.typed.get('a')).toBe('ls -la\r'))
    await vi.waitFor(() => expect(ann.shown).toBe('grüße ls -la\r'))
    ann.socket.emit('terminal_input', { agentId: 'a', data: 'rm' })
    await vi.waitFor(() => expect(ann.events.at(-1)).toMatch(/^error Only the owner/))
    expect(existing.typed.get('a')).toBe('ls -la\r')
  })

  it('see where output was left out that came faster than it could be stored', async () => {
    const ann = await member('ann')
    await listens()
    existing.spawn(agent('a', 'ann'))
    await follows('a')
    await watch(ann, 'a')
    const line = `${'y'.repeat(16_000)}\n`
    for (let i = 0; i < 500; i++) existing.say('a', line)
    await vi.waitFor(
      () => {
        existing.say('a', 'tail\n')
        expect(ann.shown).toMatch(/\[output left out: [^\]]*\]\r\n(tail\n)/)
      },
      { timeout: 20_000, interval: 200 },
    )
    expect(ann.shown.length).toBeLessThan(500 * line.length)
  })
})

describe('a flip of the flag', () => {
  it('to containers: the session stays, agents that run are followed to their end', async () => {
    const ann = await member('ann')
    await listens()
    existing.spawn(agent('old', 'ann'))
    await follows('old')
    await watch(ann, 'old')
    existing.say('old', 'before ')
    const { id } = ann.socket
    plane.onSsh.delete(TEAM)
    await plane.gateway.world.tell(TEAM, 'a container of ours')
    existing.say('old', 'after')
    existing.status('old', 'completed')
    await vi.waitFor(() => expect(ann.shown).toBe('before after'))
    await vi.waitFor(() => expect(ann.events).toContain('status old completed'))
    expect(ann.events).toEqual(['spawned old running', 'status agent-1 running', 'status old completed'])
    expect(ann.socket.id).toBe(id)
  })

  it('to the existing server: the spawn brings the token, nobody has to reconnect', async () => {
    plane.onSsh.delete(TEAM)
    const ann = await member('ann')
    expect(plane.legs()).toBe(0)
    plane.onSsh.add(TEAM)
    existing.spawn(agent('new', 'ann'))
    plane.spawnedOverSsh(TEAM, 'ann', tokenOf('ann'))
    await vi.waitFor(() => expect(ann.events).toEqual(['spawned new running']))
    await follows('new')
    await watch(ann, 'new')
    existing.say('new', 'hello')
    await vi.waitFor(() => expect(ann.shown).toBe('hello'))
  })
})

describe('failures', () => {
  it('of the connection there: what was missed is repaired by a list, nothing comes twice, the gap is said', async () => {
    for (const id of ['a', 'b', 'c']) existing.agents.set(id, agent(id, 'ann'))
    const ann = await member('ann')
    await follows('a')
    await watch(ann, 'a')
    existing.say('a', 'before')
    await vi.waitFor(() => expect(ann.shown).toBe('before'))
    ann.events.length = 0
    existing.cut()
    await vi.waitFor(() => expect(existing.io.of('/').sockets.size).toBe(0))
    existing.status('b', 'failed')
    existing.remove('c')
    existing.spawn(agent('d', 'bob'))
    await follows('a')
    await vi.waitFor(() => expect(ann.shown).toMatch(/^before\r\n\[output since .* may be missing\]\r\n$/))
    existing.say('a', 'after')
    await vi.waitFor(() => expect(ann.shown).toMatch(/\r\nafter$/))
    await vi.waitFor(() =>
      expect([...ann.events].sort()).toEqual(['deleted c', 'spawned d running', 'status b failed']),
    )
  })

  it('of the control plane: a report that was not committed is made good', async () => {
    const ann = await member('ann')
    await listens()
    plane.fault.report = new Error('DynamoDB is down')
    existing.spawn(agent('a', 'ann', 'starting'))
    await vi.waitFor(() =>
      expect(plane.logged.map(({ message }) => message)).toContain('A report failed, a list will repair it'),
    )
    existing.status('a', 'running')
    delete plane.fault.report
    await vi.waitFor(() => expect(ann.events.at(-1)).toMatch(/a running$/), { timeout: 5_000 })
    expect(ann.events.filter((event) => event.startsWith('spawned'))).toHaveLength(1)
  })

  it('of the bridge: clients show their tokens again and resume, history and terminal with them', async () => {
    const ann = await member('ann')
    await listens()
    existing.spawn(agent('a', 'ann'))
    await follows('a')
    await watch(ann, 'a')
    existing.say('a', 'before ')
    await vi.waitFor(() => expect(ann.shown).toBe('before '))
    const [before] = existing.io.of('/').sockets.keys()
    await plane.restartBridge()
    await vi.waitFor(() => expect([...existing.io.of('/').sockets.keys()]).not.toContain(before))
    await follows('a')
    existing.say('a', 'after')
    await vi.waitFor(() => expect(ann.shown).toBe('before after'))
    ann.socket.emit('terminal_input', { agentId: 'a', data: 'x' })
    await vi.waitFor(() => expect(existing.typed.get('a')).toBe('x'))
    expect(ann.events).toEqual(['spawned a running'])
  })

  it('of a token: the next member listens instead', async () => {
    const ann = await member('ann')
    await listens()
    const bob = await member('bob')
    existing.refused.add(tokenOf('ann'))
    existing.cut()
    await vi.waitFor(() => expect(existing.io.of('/').sockets.size).toBe(0))
    existing.spawn(agent('a', 'ann'))
    for (const { events } of [ann, bob]) await vi.waitFor(() => expect(events).toEqual(['spawned a running']))
  })
})
