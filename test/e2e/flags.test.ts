/** The flags table as operators edit it: read at every request, hostile values ignored field by field. */
import { PutCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Product, startProduct } from '../support/product.ts'

let product: Product
let flags: (item: Record<string, unknown>) => Promise<unknown>
const ecsCalls: string[] = []
beforeAll(async () => {
  product = await startProduct({
    onTraffic: (where, content) => {
      if (where.startsWith('ecs ')) ecsCalls.push(content)
    },
  })
  const TableName = product.runtime.functionOf('spawn-agent').environment.FLAGS_TABLE
  flags = (Item) => product.tables.send(new PutCommand({ TableName, Item }))
})
afterAll(() => product.close())

describe('a team’s flags', () => {
  it('with containers off: not one ECS call for it, and an answer that says why it cannot', async () => {
    const member = await product.member()
    await flags({ scope: `team#${member.teamId}`, useDockerAgents: false })
    const answer = await member.call('POST', '/api/agents/spawn', { agentType: 'mock', task: '' })
    expect(answer).toMatchObject({
      status: 503,
      body: { code: 'UNAVAILABLE', message: expect.stringContaining('server') },
    })
    expect(await member.call('GET', '/api/agents')).toMatchObject({ status: 200, body: { agents: [] } })
    expect(ecsCalls.filter((call) => call.includes(member.teamId))).toEqual([])
  })

  it('count from the next request on, slots and sizes too', async () => {
    const member = await product.member()
    await flags({ scope: `team#${member.teamId}`, agentSlots: 1, maxTaskSize: { cpu: 1024, memory: 2048 } })
    const spawn = (fields = {}) => member.call('POST', '/api/agents/spawn', { agentType: 'mock', task: '', ...fields })
    expect(await spawn({ containerOptions: { resources: { cpu: '2.0' } } })).toMatchObject({ status: 400 })
    expect(await spawn()).toMatchObject({ status: 200 })
    expect(await spawn()).toMatchObject({ status: 429, body: { code: 'TOO_MANY_AGENTS' } })
    await flags({ scope: `team#${member.teamId}`, agentSlots: 'many', maxTaskSize: 'huge', useDockerAgents: 'yes' })
    expect(await spawn()).toMatchObject({ status: 200 })
    expect(product.logs.some(({ line }) => line.includes('Flag ignored') && line.includes('agentSlots'))).toBe(true)
    await member.call('DELETE', '/api/agents')
  })
})

it('RunTask names record, generation and attempt', async () => {
  const member = await product.member()
  const socket = await member.socket()
  const { id } = await member.spawn('exit 0')
  await socket.ended(id)
  const calls = ecsCalls
    .map((call) => JSON.parse(call) as Record<string, unknown>)
    .filter(({ startedBy }) => String(startedBy).includes(id))
  expect(calls.length).toBeGreaterThan(0)
  // A start may be ordered more than once, and asks ECS for the same task each time.
  for (const call of calls)
    expect(call).toMatchObject({ startedBy: `${member.teamId}/${id}/1`, clientToken: `${id}-1-1` })
})
