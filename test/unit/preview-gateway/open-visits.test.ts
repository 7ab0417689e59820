import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { startFixture, startTask } from './fixture.ts'

/** A preview with an event stream and a WebSocket open, looked at again all the time. */
async function start({ open: isPublic = false } = {}) {
  let now = Date.now()
  const task = await startTask((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
  })
  const fixture = await startFixture({
    taskPort: task.port,
    now: () => now,
    limits: { lookAgainMs: 20, lookupTtlMs: 0, lookupStaleMs: 0 },
  })
  const { gateway, host, directory, label, preview, member, ticket, entrance, ask } = fixture
  const change = (more: Partial<typeof preview>) => directory.items.set(label, { ...preview, ...more })
  if (isPublic) change({ public: true })
  const open = async (cookie?: string) => {
    const headers = { host, ...(cookie === undefined ? {} : { cookie }) }
    const outgoing = request({ port: gateway.port, host: '127.0.0.1', agent: false, headers }).end()
    const [stream] = (await once(outgoing, 'response')) as [IncomingMessage]
    stream.on('error', () => undefined)
    await once(stream, 'data')
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers })
    await once(socket, 'open')
    // Not `once`: that it is cut is an error to who listens for anything.
    const cut = new Promise((resolve) => stream.resume().on('close', resolve))
    const ends = Promise.all([cut, once(socket, 'close')])
    let ended = false
    void ends.then(() => {
      ended = true
    })
    return { ends, hasEnded: () => ended, socket, stream }
  }
  /** Resolves when what is open has been looked at again, and more than once. */
  const looked = async () => {
    const before = directory.lookups
    await expect.poll(() => directory.lookups).toBeGreaterThan(before + 2)
  }
  return { change, open, looked, directory, label, member, ticket, entrance, ask, pass: (ms: number) => (now += ms) }
}

describe('what is open', () => {
  it('stays as long as it would be let through anew, be it that the directory does not answer', async () => {
    const { open, member, pass, looked, directory } = await start()
    const visit = await open(await member())
    pass(1_000)
    await looked()
    directory.failure = new Error('down')
    await looked()
    expect(visit.hasEnded()).toBe(false)
  })

  it('ends with the token that its ticket was given for', async () => {
    const { open, ask, entrance, ticket, pass } = await start()
    const entered = await ask(entrance(ticket({ until: Date.now() + 3_600_000 })))
    const [cookie = '', ...attributes] = entered.headers['set-cookie']?.[0]?.split('; ') ?? []
    expect(Number(attributes.find((text) => text.startsWith('Max-Age='))?.slice(8))).toBeLessThanOrEqual(3_600)
    const visit = await open(cookie)
    pass(3_600_001)
    await visit.ends
    expect((await ask('/', { headers: { cookie } })).status).toBe(403)
  })

  it('ends when a public preview is not public any more, except for members', async () => {
    const { open, member, change, pass, looked } = await start({ open: true })
    const [stranger, ours] = [await open(), await open(await member())]
    change({ public: false })
    pass(1_000)
    await stranger.ends
    await looked()
    expect(ours.hasEnded()).toBe(false)
  })

  it.each([
    ['runs elsewhere', { port: 2 }],
    ['runs on another task', { address: '127.0.0.2' }],
    ['has ended', { status: 'completed' }],
  ] as const)('ends when the preview %s', async (_, more) => {
    const { open, member, change, pass } = await start()
    const visit = await open(await member())
    change(more)
    pass(1_000)
    await visit.ends
  })

  it('ends when the preview is removed', async () => {
    const { open, member, directory, label, pass } = await start()
    const visit = await open(await member())
    directory.items.delete(label)
    pass(1_000)
    await visit.ends
  })
})
