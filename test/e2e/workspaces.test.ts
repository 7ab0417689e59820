/** Two agents and a human in one repository at once, with the container between them killed: nothing anybody wrote is lost. */
import { GetCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import * as z from 'zod'
import type { AgentView } from '../../shared/contracts/agents.ts'
import { type Product, startProduct, type TestMember, type TestSocket } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { environmentOf, environmentThat, SOON, syncOf, withWorkspace } from '../support/workspaces.ts'

let product: Product
let repository: Repository
let member: TestMember
let socket: TestSocket
beforeAll(async () => {
  product = await startProduct()
  repository = await Repository.start({ 'README.md': '# Team\n' })
  member = await product.member()
  socket = await member.socket()
  await withWorkspace(member, repository.url)
})
afterAll(async () => {
  await product.close()
  await repository.close()
})

async function interactive(): Promise<AgentView> {
  const agent = await member.spawn('')
  await socket.connectTerminal(agent.id)
  await socket.seen(agent.id, 'mock>', 60_000)
  return agent
}

/** Resolves when the agent's shell has done it: the prompt is there again behind the command's echo. */
async function write(agent: AgentView, path: string, text: string): Promise<void> {
  const before = socket.terminal(agent.id).length
  socket.type(agent.id, `write ${path} ${text}\r`)
  await socket.until(
    () => socket.terminal(agent.id).slice(before).includes(text) && socket.terminal(agent.id).endsWith('mock> '),
    `the prompt behind "${text}"`,
  )
}

const reconcile = async () => {
  const { functionError } = await product.runtime.lambda.invoke(product.runtime.functionOf('reconcile-tasks').arn, {})
  expect(functionError).toBeUndefined()
}

/** As the kernel does it when the memory is used up: no signal that could be handled, no last words. */
async function killSync(): Promise<void> {
  const id = syncOf(await environmentOf(member))?.containerId
  const { ENVIRONMENTS_TABLE: TableName } = product.runtime.functionOf('reconcile-tasks').environment
  const { Item } = await product.tables.send(
    new GetCommand({ TableName, Key: { pk: `TEAM#${member.teamId}`, sk: `ENV#${id}` }, ConsistentRead: true }),
  )
  const { task } = z.object({ task: z.object({ arn: z.string() }) }).parse(Item)
  const { SYNC_CONTAINER = '' } = product.runtime.functionOf('on-work').environment
  await product.runtime.ecs.killForMemory(task.arn, SYNC_CONTAINER)
}

const everything = () =>
  repository
    .branches()
    .map((branch) => repository.everything(branch))
    .join('\n')

it('nothing is lost, whoever writes what, with sync killed in between', { timeout: 240_000 }, async () => {
  const [ada, bob] = [await interactive(), await interactive()]
  const written: string[] = []
  const note = (text: string) => {
    written.push(text)
    return text
  }
  for (let round = 1; round <= 4; round++) {
    await Promise.all([
      write(ada, `ada-${round}.txt`, note(`ada-wrote-${round}`)),
      write(bob, `bob/${round}.txt`, note(`bob-wrote-${round}`)),
    ])
    repository.push({ [`human-${round}.txt`]: `${note(`human-wrote-${round}`)}\n` }, `Human ${round}`)
    // Both make the same file: what cannot be merged is kept beside it.
    await write(ada, `shared-${round}.txt`, note(`ada-shared-${round}`))
    repository.push({ [`shared-${round}.txt`]: `${note(`human-shared-${round}`)}\n` }, `Human, shared ${round}`)
    if (round === 2) {
      await killSync()
      const dead = await environmentThat(member, (view) => syncOf(view)?.status !== 'running')
      expect(syncOf(dead)?.reason).toMatch(/memory/i)
    }
    if (round >= 2) await reconcile()
  }
  await vi.waitFor(
    async () => {
      await reconcile()
      const found = everything()
      expect(written.filter((text) => !found.includes(text))).toEqual([])
    },
    { timeout: 120_000, interval: 1_000 },
  )
  expect(syncOf(await environmentOf(member))?.status).toBe('running')

  // What the human has pushed is before the agents, too.
  for (let round = 1; round <= 4; round++) {
    await vi.waitFor(async () => {
      expect(await member.call('GET', `/api/ide/file?path=human-${round}.txt`)).toMatchObject({
        status: 200,
        body: { content: `human-wrote-${round}\n` },
      })
    }, SOON)
  }
  const messages = repository.branches().flatMap((branch) => repository.messages(branch))
  for (const agent of [ada, bob])
    expect(messages.join('\n')).toContain(`Co-authored-by: ${agent.agentName} <${agent.id}@agents.covibes.invalid>`)
  const rescues = repository.branches().filter((branch) => branch.startsWith('covibes/rescue/'))
  expect(rescues).not.toEqual([])
  await socket.next(
    'chat-message',
    ({ userName, content }) =>
      userName === 'Workspace sync' && rescues.some((branch) => String(content).includes(branch)),
  )
})
