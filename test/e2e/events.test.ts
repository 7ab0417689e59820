/** ECS events doubled, late, reversed or lost: the same final record, the same ledger, no socket event twice. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Faults } from '../../local/faults/faults.ts'
import { createLedgerStore } from '../../shared/adapters/dynamodb/ledger-store.ts'
import { type Product, startProduct } from '../support/product.ts'
import { withWorkspace } from '../support/workspaces.ts'

let product: Product
let ledger: ReturnType<typeof createLedgerStore>
beforeAll(async () => {
  product = await startProduct({ scheduleRate: 0 })
  ledger = createLedgerStore(
    product.tables,
    product.runtime.functionOf('spawn-agent').environment.ENVIRONMENTS_TABLE ?? '',
  )
})
afterAll(() => product.close())

/** One life from spawn to its end under faults, as the ledger, the record and a socket tell it. */
async function life(disturb: (faults: Faults) => void, { reconciled = false } = {}) {
  const { runtime } = product
  const member = await product.member()
  const socket = await member.socket()
  // Its workspace sync runs already: the faults are the agent's.
  await withWorkspace(member)
  disturb(runtime.faults)
  const { id } = await member.spawn('exit 3')
  let isOver = false
  const ended = socket.ended(id).finally(() => {
    isOver = true
  })
  // The schedule, at the speed of a test: as often as it takes.
  while (reconciled && !isOver) await reconcile()
  await ended
  runtime.faults.reset()
  await member.stopEnvironment()
  await runtime.ecs.idle()
  await runtime.eventBridge.idle()
  const agent = await member.agent(id)
  const entries = await ledger.readAfter(member.teamId, 0, 100)
  return {
    record: { status: agent.status, exitCode: agent.exitCode, reason: agent.reason },
    story: entries.flatMap(({ environment: change }) =>
      change?.id === id && change.from !== change.to ? [change.to] : [],
    ),
    told: socket.statuses(id),
    spawned: socket.of('agent-spawned').length,
  }
}

const expected = {
  record: { status: 'failed', exitCode: 3, reason: 'exit code 3' },
  story: ['requested', 'starting', 'running', 'failed'],
  told: ['running', 'failed'],
  spawned: 1,
}

const reconcile = async () => {
  const { functionError } = await product.runtime.lambda.invoke(product.runtime.functionOf('reconcile-tasks').arn, {})
  expect(functionError).toBeUndefined()
}

describe('events of ECS', () => {
  afterEach(() => product.runtime.faults.reset())

  it('in order', async () => {
    expect(await life(() => undefined)).toEqual(expected)
  })
  it('each twice', async () => {
    expect(await life((faults) => faults.events.add({ kind: 'double' }))).toEqual(expected)
  })
  it('late', async () => {
    expect(await life((faults) => faults.events.add({ kind: 'delay', delayMs: 300 }))).toEqual(expected)
  })
  it('in reverse order', async () => {
    const reverse = (faults: Faults) => {
      for (let n = 0; n < 12; n++) faults.events.add({ kind: 'delay', delayMs: 2_400 - 200 * n }, { times: 1 })
    }
    expect(await life(reverse)).toEqual(expected)
  })
  it('all lost: after a reconcile', async () => {
    expect(await life((faults) => faults.events.add({ kind: 'lose' }), { reconciled: true })).toEqual(expected)
  })
  it('doubled, delayed and reordered by chance', async () => {
    const disturb = (faults: Faults) => {
      faults.events.add({ kind: 'double' }, { probability: 0.4 })
      faults.events.add({ kind: 'reorder' }, { probability: 0.4 })
    }
    for (let n = 0; n < 4; n++) expect(await life(disturb)).toEqual(expected)
  })
})
