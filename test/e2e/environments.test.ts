/** A team's environment from its creation to its removal, over HTTP, with a real repository and the real workspace sync. */
import { readdirSync } from 'node:fs'
import { UpdateCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { signature } from '../../ops/team.ts'
import { WhyAnswerSchema } from '../../shared/contracts/environments.ts'
import { type Product, startProduct, type TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import {
  environmentOf,
  environmentThat,
  internalSecret,
  madeFor,
  SOON,
  storeCredentials,
  syncOf,
  teamDirectory,
  withWorkspace,
} from '../support/workspaces.ts'

let product: Product
let repository: Repository
beforeAll(async () => {
  product = await startProduct()
  repository = await Repository.start()
})
afterAll(async () => {
  await product.close()
  await repository.close()
})

const isRunning = ({ status }: { status: string }) => status === 'running'
const inRepository = (path: string, content: string) =>
  vi.waitFor(() => expect(repository.file(path)).toBe(content), SOON)

describe("a team's environment", () => {
  let member: TestMember
  const action = (verb: string) => member.call('POST', `/api/environments/${member.teamId}/${verb}`)
  beforeAll(async () => {
    member = await product.member()
  })

  it('is created at once; workspace sync runs, and has cloned the repository', async () => {
    const { teamId } = member
    const created = await member.call('POST', '/api/environments', { teamId, repositoryUrl: repository.url })
    expect(created).toMatchObject({
      status: 200,
      body: {
        success: true,
        containers: ['claude-agent', 'preview', 'workspace-sync'],
        environment: { teamId, status: 'active', repositoryUrl: repository.url },
      },
    })
    const view = await environmentThat(member, ({ workspace }) => workspace?.state === 'synced')
    expect(view.workspace).toMatchObject({ branch: 'main', commit: expect.stringMatching(/^[0-9a-f]{40}$/) })
    expect(syncOf(view)).toMatchObject({ status: 'running', name: `covibes_sync_${teamId}`, ports: [] })
    await environmentThat(member, (later) => syncOf(later)?.health === 'healthy')
  })

  it('is no error to create again, and keeps its repository', async () => {
    const again = await member.call('POST', '/api/environments', { repositoryUrl: repository.url })
    expect(again).toMatchObject({ status: 200, body: { environment: { repositoryUrl: repository.url } } })
    const other = await member.call('POST', '/api/environments', { repositoryUrl: 'https://example.org/x.git' })
    expect(other).toMatchObject({ status: 409, body: { code: 'CONFLICT', details: [{ field: 'repositoryUrl' }] } })
  })

  it('carries what an agent writes into the repository, with the agent as co-author', async () => {
    const agent = await member.spawn('write hello.txt Hello from an agent')
    await vi.waitFor(() => expect(repository.file('hello.txt')).toContain('Hello from an agent'), SOON)
    expect(repository.messages()[0]).toContain(
      `Co-authored-by: ${agent.agentName} <${agent.id}@agents.covibes.invalid>`,
    )
    expect((await environmentOf(member)).containers.map(({ kind }) => kind).sort()).toEqual([
      'claude-agent',
      'workspace-sync',
    ])
  })

  it('stops with a last commit, agents first, and then leaves the files alone', async () => {
    const late = await member.call('POST', '/api/ide/file', { path: 'late.txt', content: 'just in time\n' })
    expect(late.status).toBe(200)
    expect(await action('stop')).toMatchObject({ status: 200, body: { success: true } })
    const view = await environmentThat(member, ({ containers }) =>
      containers.every(({ status }) => status === 'stopped'),
    )
    expect(repository.file('late.txt')).toBe('just in time\n')
    const [sync, agent] = [syncOf(view), view.containers.find(({ kind }) => kind === 'claude-agent')]
    expect(sync).toMatchObject({ reason: 'stopped on request', exitCode: 0 })
    expect(Date.parse(agent?.since ?? '')).toBeLessThanOrEqual(Date.parse(sync?.since ?? ''))
    expect(await member.call('GET', '/api/ide/files')).toMatchObject({
      status: 409,
      body: { message: expect.stringContaining('stopped by a member') },
    })
    expect(syncOf(await environmentOf(member))?.status).toBe('stopped')
  })

  it('starts again by a restart, as it was', async () => {
    expect(await action('restart')).toMatchObject({ status: 200, body: { success: true } })
    await environmentThat(member, (view) => syncOf(view)?.status === 'running')
    await vi.waitFor(async () => {
      expect(await member.call('GET', '/api/ide/file?path=late.txt')).toMatchObject({
        status: 200,
        body: { content: 'just in time\n' },
      })
    }, SOON)
  })

  it('is told as a story, in words, whole or in pages', async () => {
    const path = `/api/environments/${member.teamId}/why`
    const { stories } = WhyAnswerSchema.parse((await member.call('GET', path)).body)
    const told = new Map(stories.map(({ kind, story }) => [kind, story.map(({ text }) => text)]))
    expect(told.get('workspace-sync')).toEqual(
      expect.arrayContaining([
        `${member.userId} asked for the environment, and workspace sync was set up.`,
        'It runs.',
        `${member.userId} asked for it to stop.`,
        'It has stopped: stopped on request.',
        `${member.userId} started it again (start 2).`,
      ]),
    )
    expect(told.get('claude-agent')?.[0]).toBe(`${member.userId} asked for this agent.`)
    const paged: string[] = []
    let cursor: string | undefined
    do {
      const query = cursor === undefined ? '?limit=7' : `?limit=7&cursor=${cursor}`
      const page = WhyAnswerSchema.parse((await member.call('GET', `${path}${query}`)).body)
      paged.push(...page.stories.flatMap(({ story }) => story.map(({ at, text }) => `${at} ${text}`)))
      cursor = page.nextCursor
    } while (cursor !== undefined)
    const whole = stories.flatMap(({ story }) => story.map(({ at, text }) => `${at} ${text}`))
    for (const line of whole) expect(paged).toContain(line)
  })

  it('is taken down with what was made for it, and its files are there for the next one', async () => {
    const kept = { path: 'kept.txt', content: 'kept\n' }
    expect((await member.call('POST', '/api/ide/file', kept)).status).toBe(200)
    expect(await madeFor(product, member.teamId)).toMatchObject({ accessPoints: 2, roles: 2 })
    const path = `/api/environments/${member.teamId}`
    expect(await member.call('DELETE', path)).toMatchObject({
      status: 200,
      body: { environment: { status: 'removing' } },
    })
    expect((await member.call('POST', '/api/agents/spawn', { agentType: 'mock' })).status).toBe(409)
    await environmentThat(member, ({ status }) => status === 'none')
    await inRepository('kept.txt', 'kept\n')
    expect(await madeFor(product, member.teamId)).toMatchObject({ accessPoints: 0, roles: 0 })
    expect((await environmentOf(member)).containers).toEqual([])
    expect(await member.call('DELETE', path)).toMatchObject({ status: 404 })

    await withWorkspace(member, repository.url)
    expect(await member.call('GET', '/api/ide/file?path=kept.txt')).toMatchObject({
      status: 200,
      body: { content: 'kept\n' },
    })
  })
})

describe('walls', () => {
  it('no member asks anything of another team', async () => {
    const [own, other] = [await product.member(), await product.member()]
    const path = `/api/environments/${other.teamId}`
    const answers = [
      await own.call('POST', '/api/environments', { teamId: other.teamId }),
      await own.call('GET', path),
      await own.call('GET', `${path}/why`),
      await own.call('POST', `${path}/stop`),
      await own.call('POST', `${path}/restart`),
      await own.call('DELETE', path),
    ]
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403, 403])
    expect((await environmentOf(other)).status).toBe('none')
    expect(await own.call('GET', '/api/environments/a%2Fb')).toMatchObject({ status: expect.toBeOneOf([400, 404]) })
  })

  it('nobody without a good token asks anything', async () => {
    const { teamId } = await product.member()
    for (const [method, path] of [
      ['GET', `/api/environments/${teamId}`],
      ['POST', '/api/environments'],
      ['GET', '/api/ide/files'],
    ] as const) {
      const ask = (headers: Record<string, string>) => fetch(new URL(path, product.url), { method, headers })
      expect((await ask({})).status).toBe(401)
      expect((await ask({ authorization: 'Bearer a.b.c' })).status).toBe(403)
    }
  })
})

describe('a private repository', () => {
  const TOKEN = 'the-token-of-the-team'
  let locked: Repository
  beforeAll(async () => {
    locked = await Repository.start({ 'secret.md': 'ours\n' }, `x-access-token:${TOKEN}`)
  })
  afterAll(() => locked.close())

  it('is told not to be readable, and is cloned once the team has stored a token for it', async () => {
    const member = await product.member()
    const socket = await member.socket()
    const { teamId } = member
    await member.call('POST', '/api/environments', { repositoryUrl: locked.url })
    const refused = await environmentThat(member, ({ workspace }) => workspace?.state === 'failed')
    expect(refused.workspace?.detail).toMatch(/credential|token|access|auth/i)
    await socket.next('chat-message', ({ content }) => String(content).includes(String(refused.workspace?.detail)))

    await storeCredentials(product, teamId, JSON.stringify({ kind: 'token', token: TOKEN }))
    expect((await member.call('POST', `/api/environments/${teamId}/restart`)).status).toBe(200)
    await environmentThat(member, ({ workspace }) => workspace?.state === 'synced')
    expect(await member.call('GET', '/api/ide/file?path=secret.md')).toMatchObject({ body: { content: 'ours\n' } })
    const agent = await member.spawn('write mine.txt x')
    await vi.waitFor(() => expect(locked.file('mine.txt')).toContain('x'), SOON)
    expect(agent.method).toBe('docker')
    const said = product.logs.map(({ line }) => line).join('\n')
    expect(said).not.toContain(TOKEN)
  })

  it('with credentials that cannot be read: says so, and not what they are', async () => {
    const member = await product.member()
    await storeCredentials(product, member.teamId, 'ghp_not-json')
    await member.call('POST', '/api/environments', { repositoryUrl: locked.url })
    const view = await environmentThat(member, (current) => syncOf(current)?.status === 'error')
    expect(syncOf(view)?.reason).toContain('the secret must be JSON')
    expect(view.workspace).toMatchObject({
      state: 'failed',
      detail: expect.stringContaining('the secret must be JSON'),
    })
    expect(JSON.stringify(product.logs)).not.toContain('ghp_not-json')
  })
})

describe('idleness', () => {
  const reconcile = async () => {
    const { functionError } = await product.runtime.lambda.invoke(product.runtime.functionOf('reconcile-tasks').arn, {})
    expect(functionError).toBeUndefined()
  }

  it('stops workspace sync, and the next look at the files wakes it', async () => {
    const member = await product.member()
    await withWorkspace(member, repository.url)
    await reconcile()
    expect(syncOf(await environmentOf(member))?.status).toBe('running')
    // The clock of this machine cannot be moved; what was noted of the last use can.
    await product.tables.send(
      new UpdateCommand({
        TableName: product.runtime.functionOf('reconcile-tasks').environment.ENVIRONMENTS_TABLE,
        Key: { pk: `TEAM#${member.teamId}`, sk: 'TEAM' },
        UpdateExpression: 'SET lastUsedAt = :then',
        ExpressionAttributeValues: { ':then': '2020-01-01T00:00:00.000Z' },
      }),
    )
    await reconcile()
    const idle = await environmentThat(member, (view) => syncOf(view)?.status === 'stopped')
    expect(syncOf(idle)?.reason).toContain('nobody used it')

    const first = await member.call('GET', '/api/ide/file?path=README.md')
    if (first.status !== 200) {
      expect(first).toMatchObject({ status: 503, body: { message: expect.stringContaining('woken up') } })
      expect(Number(first.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    await vi.waitFor(async () => {
      expect(await member.call('GET', '/api/ide/file?path=README.md')).toMatchObject({ body: { content: '# Team\n' } })
    }, SOON)
    await reconcile()
    expect(syncOf(await environmentOf(member))?.status).toBe('running')
  })
})

describe('the removal of a team', () => {
  const remove = (teamId: string, headers: Record<string, string>, base = product.runtime.apiUrl) =>
    fetch(new URL(`/internal/teams/${teamId}`, base), { method: 'DELETE', headers })

  it('is not for whoever cannot sign, and not reached through the edge', async () => {
    const { teamId, token } = await product.member()
    const secret = await internalSecret(product)
    const signed = signature('DELETE', `/internal/teams/${teamId}`, secret)
    expect((await remove(teamId, {})).status).toBe(401)
    expect((await remove(teamId, { authorization: `Bearer ${token}` })).status).toBe(401)
    expect((await remove('another', signed)).status).toBe(401)
    expect((await remove(teamId, signature('DELETE', `/internal/teams/${teamId}`, 'guess'))).status).toBe(401)
    expect((await remove(teamId, signed, product.url)).status).toBeGreaterThanOrEqual(400)
  })

  it('takes all that the team has, and may be asked for again', async () => {
    const member = await product.member()
    const { teamId } = member
    await storeCredentials(product, teamId, JSON.stringify({ kind: 'token', token: 'unused' }))
    await withWorkspace(member, repository.url)
    await member.spawn('')
    await environmentThat(member, ({ containers }) => containers.filter(isRunning).length === 2)
    await member.call('PUT', '/api/workspace/config', { tiles: [], layouts: {}, sidebarWidth: 200 })
    expect(readdirSync(teamDirectory(product, teamId))).not.toEqual([])
    expect(await madeFor(product, teamId)).toEqual({ accessPoints: 2, roles: 2, secrets: 1 })

    const secret = await internalSecret(product)
    const ask = () => remove(teamId, signature('DELETE', `/internal/teams/${teamId}`, secret))
    const answer = await ask()
    expect({ status: answer.status, body: await answer.json() }).toMatchObject({ status: 200, body: { teamId } })
    await environmentThat(member, ({ status }) => status === 'removing')
    expect((await ask()).status).toBe(200)
    await vi.waitFor(
      async () => {
        expect((await environmentOf(member)).status).toBe('none')
      },
      { timeout: 120_000, interval: 500 },
    )
    // The directory itself is what access points were mounted at: no container is above it.
    expect(readdirSync(teamDirectory(product, teamId))).toEqual([])
    expect(await madeFor(product, teamId)).toEqual({ accessPoints: 0, roles: 0, secrets: 0 })
    expect((await environmentOf(member)).containers).toEqual([])
  }, 180_000)
})
