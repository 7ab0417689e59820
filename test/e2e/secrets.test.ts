/** A whole run with claude, mock, restarts of links and failures: afterwards no usable secret stands anywhere it must not. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createScriptedModel } from '../../local/scripted-model/server.ts'
import { CONTAINER_ENV } from '../../shared/contracts/link.ts'
import { MODEL_PORT } from '../support/global-setup.ts'
import { JWT_SECRET, MODEL_KEY, type Product, startProduct } from '../support/product.ts'

let product: Product
let model: Awaited<ReturnType<typeof createScriptedModel>>
const seen: { where: string; text: string }[] = []
beforeAll(async () => {
  model = await createScriptedModel({ port: MODEL_PORT })
  product = await startProduct({ onTraffic: (where, text) => seen.push({ where, text }) })
})
afterAll(async () => {
  await product.close()
  await model.close()
})

it('holds no secret in events, dead letters, logs and overrides', { timeout: 120_000 }, async () => {
  const member = await product.member()
  const socket = await member.socket()
  const claude = await member.spawn('write a.txt with a then run env', { agentType: 'claude' })
  const mock = await member.spawn('')
  await socket.next('agent-status', (payload) => payload.agentId === mock.id && payload.status === 'running')
  await socket.connectTerminal(mock.id)
  await socket.seen(mock.id, 'mock>')
  for (const id of product.runtime.webSockets.connectionIds()) product.runtime.webSockets.drop(id)
  await member.call('POST', `/api/agents/${mock.id}/input`, { input: 'exit 3\r' })
  await socket.ended(mock.id)
  await socket.ended(claude.id, 90_000)
  await product.runtime.eventBridge.idle()

  // Tables and secrets are where secrets are kept, posts carry the orders to the container itself.
  const kept = /^(dynamodb|secretsmanager|execute-api)/
  const places = [
    ...seen.filter(({ where }) => !kept.test(where)),
    ...product.logs.map(({ source, line }) => ({ where: `log of ${source}`, text: line })),
  ]
  expect(places.filter(({ where }) => where === 'event').length).toBeGreaterThan(5)
  // Two agents and the team's workspace sync.
  expect(places.filter(({ where }) => where === 'ecs RunTask')).toHaveLength(3)
  for (const secret of [JWT_SECRET, MODEL_KEY, member.token])
    for (const { where, text } of places) expect(text.includes(secret), `${where}: ${text.slice(0, 300)}`).toBe(false)

  // The ticket stands in overrides and events by design: it must be void.
  const tickets = seen.flatMap(({ text }) => [
    ...text.matchAll(new RegExp(`"name":"${CONTAINER_ENV.ticket}","value":"([^"]+)"`, 'g')),
  ])
  expect(tickets.length).toBeGreaterThan(0)
  const environments = seen.flatMap(({ text }) => [
    ...text.matchAll(new RegExp(`"name":"${CONTAINER_ENV.environment}","value":"([^"]+)"`, 'g')),
  ])
  for (const [, ticket] of tickets)
    for (const [, environment] of environments) expect(await connectLink(String(environment), String(ticket))).toBe(403)
})

function connectLink(environment: string, ticket: string): Promise<number> {
  const url = product.runtime.linkUrl
  return new Promise((resolve) => {
    const link = new WebSocket(url, {
      headers: {
        'x-covibes-environment': environment,
        authorization: `Ticket ${ticket}`,
        'x-covibes-link-key-hash': 'a'.repeat(64),
      },
    })
    link.on('open', () => resolve(101))
    link.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
    link.on('error', () => undefined)
  })
}
