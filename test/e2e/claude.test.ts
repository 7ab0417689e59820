/** The real `claude` CLI against the scripted model, its terminal seen by three unmodified Socket.IO clients. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createScriptedModel } from '../../local/scripted-model/server.ts'
import { MODEL_PORT } from '../support/global-setup.ts'
import { type Product, startProduct } from '../support/product.ts'
import { workspaceOf } from '../support/workspaces.ts'

let product: Product
let model: Awaited<ReturnType<typeof createScriptedModel>>
beforeAll(async () => {
  model = await createScriptedModel({ port: MODEL_PORT })
  product = await startProduct()
})
afterAll(async () => {
  await product.close()
  await model.close()
})

const inWorkspace = (teamId: string, name: string) => join(workspaceOf(product, teamId), name)

it('writes a file; polling, upgraded and late viewers see the same bytes', { timeout: 120_000 }, async () => {
  const owner = await product.member()
  const colleague = await product.member(owner.teamId)
  const polling = await owner.socket({ transports: ['polling'] })
  const upgraded = await colleague.socket()
  await upgraded.upgraded()

  const agent = await owner.spawn('write hello.txt with hello from claude', { agentType: 'claude' })
  await Promise.all([polling.connectTerminal(agent.id), upgraded.connectTerminal(agent.id)])
  await Promise.all([polling.ended(agent.id, 90_000), upgraded.ended(agent.id, 90_000)])
  expect(await owner.agent(agent.id)).toMatchObject({ status: 'completed', exitCode: 0, method: 'docker' })

  expect(readFileSync(inWorkspace(owner.teamId, 'hello.txt'), 'utf8').trim()).toBe('hello from claude')
  expect(existsSync(inWorkspace(owner.teamId, '.git'))).toBe(true)

  const late = await colleague.socket()
  await late.connectTerminal(agent.id)
  const history = await late.until(
    () => late.terminal(agent.id).includes('done in') && late.terminal(agent.id),
    'history',
  )
  await Promise.all(
    [polling, upgraded].map((viewer) =>
      viewer.until(() => viewer.terminal(agent.id).length >= history.length, 'all output'),
    ),
  )
  expect(polling.terminal(agent.id)).toBe(history)
  expect(upgraded.terminal(agent.id)).toBe(history)
  expect(history).toContain('hello.txt')

  const { body } = await owner.call('GET', `/api/agents/${agent.id}/output?limit=1000`)
  const lines = (body as { output: { line: string }[] }).output.map(({ line }) => line).join('\n')
  expect(lines).toContain('Write')
  expect(lines).not.toContain('\u001b')
})

it('interactive: what the owner types reaches the CLI, what others type does not', { timeout: 120_000 }, async () => {
  const owner = await product.member()
  const colleague = await product.member(owner.teamId)
  const [mine, theirs] = [await owner.socket(), await colleague.socket()]
  const agent = await owner.spawn('', { agentType: 'claude' })
  await Promise.all([mine.connectTerminal(agent.id), theirs.connectTerminal(agent.id)])
  mine.socket.emit('terminal_resize', { agentId: agent.id, cols: 100, rows: 30 })
  await mine.until(() => mine.terminal(agent.id).length > 500, 'the CLI’s screen', 60_000)
  theirs.type(agent.id, 'write stolen.txt\r')
  expect(await theirs.next('terminal_error')).toMatchObject({ agentId: agent.id })
  mine.type(agent.id, 'write typed.txt')
  await mine.seen(agent.id, 'typed.txt', 30_000)
  mine.type(agent.id, '\r')
  await mine.until(() => existsSync(inWorkspace(owner.teamId, 'typed.txt')), 'typed.txt in the workspace', 60_000)
  expect(existsSync(inWorkspace(owner.teamId, 'stolen.txt'))).toBe(false)
  await owner.call('POST', `/api/agents/${agent.id}/stop`)
  expect(await mine.ended(agent.id, 40_000)).toMatchObject({ status: 'killed', message: 'stopped on request' })
})

it('a team without a model key is told so', async () => {
  const lacking = await startProduct({ modelKey: '' })
  try {
    const member = await lacking.member()
    const socket = await member.socket()
    const { id } = await member.spawn('do something for me', { agentType: 'claude' })
    expect(await socket.ended(id)).toMatchObject({ status: 'failed', message: expect.stringContaining('model key') })
  } finally {
    await lacking.close()
  }
})
