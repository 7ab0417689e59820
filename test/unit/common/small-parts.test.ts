import { describe, expect, it } from 'vitest'
import { childEnvironment, takeSettings } from '../../../container-images/agent/src/settings.ts'
import { Backoff } from '../../../container-images/common/src/backoff.ts'
import { LinkCredential } from '../../../container-images/common/src/link-credential.ts'
import { jsonLog } from '../../../container-images/common/src/log.ts'
import { SettingsError } from '../../../container-images/common/src/settings.ts'
import { portOf, startStatusServer } from '../../../container-images/common/src/status-server.ts'

const ENV = {
  COVIBES_ENVIRONMENT: 'team/record/3',
  COVIBES_LINK_TICKET: 'tick',
  COVIBES_LINK_URL: 'wss://link.example/prod',
  HOME: '/home/node',
  PATH: '/bin',
  ECS_CONTAINER_METADATA_URI_V4: 'http://169.254.170.2/v4/x',
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/creds',
}

describe('settings', () => {
  it('have defaults, and take the ticket out of the environment', () => {
    const env = { ...ENV }
    expect(takeSettings(env)).toEqual({
      environment: 'team/record/3',
      ticket: 'tick',
      linkUrl: 'wss://link.example/prod',
      workspace: '/workspaces/workspace',
      port: 8080,
      host: '0.0.0.0',
      home: '/home/node',
      path: '/bin',
    })
    expect('COVIBES_LINK_TICKET' in env).toBe(false)
  })

  it('name everything that is wrong, never the ticket, and take it out even then', () => {
    const env: NodeJS.ProcessEnv = { ...ENV, COVIBES_ENVIRONMENT: 'team', COVIBES_LINK_URL: 'http://x', PORT: 'many' }
    expect(() => takeSettings(env)).toThrow(SettingsError)
    try {
      takeSettings({ ...ENV, COVIBES_ENVIRONMENT: 'team', COVIBES_LINK_URL: 'http://x', PORT: 'many' })
    } catch (error) {
      const { message } = error as Error
      for (const name of ['COVIBES_ENVIRONMENT', 'COVIBES_LINK_URL', 'PORT']) expect(message).toContain(name)
      expect(message).not.toContain('tick')
    }
    expect(env.COVIBES_LINK_TICKET).toBeUndefined()
  })

  it('give children nothing but what they need', () => {
    const child = childEnvironment(takeSettings({ ...ENV }), 'Ada', { ANTHROPIC_API_KEY: 'k' })
    expect(Object.keys(child).sort()).toEqual([
      'ANTHROPIC_API_KEY',
      'GIT_AUTHOR_EMAIL',
      'GIT_AUTHOR_NAME',
      'GIT_COMMITTER_EMAIL',
      'GIT_COMMITTER_NAME',
      'HOME',
      'LANG',
      'PATH',
      'TERM',
    ])
  })
})

describe('back-off', () => {
  it('doubles up to its bound, within the upper half of each step, and starts anew after a success', () => {
    const low = new Backoff(100, 1000, () => 0)
    expect([1, 2, 3, 4, 5, 6].map(() => low.next())).toEqual([50, 100, 200, 400, 500, 500])
    low.reset()
    expect(low.next()).toBe(50)
    const high = new Backoff(100, 1000, () => 0.999999)
    expect(high.next()).toBeLessThan(100)
    expect(high.longestMs).toBe(200)
    for (let i = 0; i < 2000; i++) expect(high.next()).toBeLessThan(1000)
    expect(high.longestMs).toBe(1000)
  })
})

describe('the link’s credential', () => {
  it('is the ticket with the key’s hash until it is accepted, the same key ever after', () => {
    const credential = new LinkCredential('t/r/1', 'tick')
    const first = credential.headers()
    expect(first.authorization).toBe('Ticket tick')
    expect(first['x-covibes-link-key-hash']).toMatch(/^[0-9a-f]{64}$/)
    expect(credential.headers()).toEqual(first)
    credential.accepted()
    const later = credential.headers()
    expect(later.authorization).toMatch(/^Link [\w-]{43}$/)
    expect(later['x-covibes-environment']).toBe('t/r/1')
    expect(later).not.toHaveProperty('x-covibes-link-key-hash')
    expect(credential.refused()).toBe(true)
  })

  it('tries the key when the ticket is refused after an answer was lost', () => {
    const clear = new LinkCredential('t/r/1', 'tick')
    expect(clear.refused()).toBe(true)
    const lost = new LinkCredential('t/r/1', 'tick')
    lost.unclear()
    expect(lost.headers().authorization).toBe('Ticket tick')
    expect(lost.refused()).toBe(false)
    expect(lost.headers().authorization).toMatch(/^Link /)
    expect(lost.refused()).toBe(true)
  })
})

describe('the status server', () => {
  it('answers health and status, and nothing else', async () => {
    let why: string | undefined
    const server = await startStatusServer(
      {
        health: () => (why === undefined ? { status: 'healthy' } : { status: 'unhealthy', detail: why }),
        status: () => ({ phase: 'running' }),
      },
      0,
      '127.0.0.1',
    )
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${portOf(server)}${path}`, { method })
      return [response.status, await response.json()]
    }
    expect(await get('/health')).toEqual([200, { status: 'ok' }])
    why = 'The link is down for 61 s'
    expect(await get('/health?x=1')).toEqual([503, { status: 'unhealthy', why }])
    expect(await get('/status')).toEqual([200, { phase: 'running' }])
    expect((await get('/'))[0]).toBe(404)
    expect((await get('/health', 'POST'))[0]).toBe(405)
    await expect(
      startStatusServer({ health: () => ({ status: 'healthy' }), status: () => ({}) }, portOf(server), '127.0.0.1'),
    ).rejects.toThrow('EADDRINUSE')
    server.close()
  })
})

describe('the log', () => {
  it('is one JSON object a line', () => {
    const lines: string[] = []
    const log = jsonLog({ service: 'agent' }, (line) => lines.push(line))
    log('WARN', 'The link was lost', { why: 'a\nb' })
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'WARN',
      message: 'The link was lost',
      service: 'agent',
      why: 'a\nb',
    })
    expect(lines[0]?.split('\n')).toHaveLength(2)
  })
})
