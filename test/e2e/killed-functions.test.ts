/**
 * Functions that die at any of their calls to AWS: before the call has its effect, and after it. The reconciler and the sweep
 * finish what was begun; nothing is done twice and every member is told once.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Product, startProduct } from '../support/product.ts'

let product: Product
beforeAll(async () => {
  product = await startProduct({ scheduleRate: 0 })
})
afterAll(() => product.close())

/** The schedules, every few seconds instead of every minute: what they wait for, they wait for all the same. */
async function runSchedules(): Promise<void> {
  for (const id of ['reconcile-tasks', 'sweep-outbox'] as const) {
    const { functionError, payload } = await product.runtime.lambda.invoke(product.runtime.functionOf(id).arn, {})
    expect(functionError, JSON.stringify(payload)).toBeUndefined()
  }
}

const VICTIMS = ['on-work', 'on-task-state-changed'] as const

it('finish what killed functions began', { timeout: 240_000 }, async () => {
  const { lambda, functionOf } = product.runtime
  const member = await product.member()
  const socket = await member.socket()

  // One kill at each call number of each function, alternately before and after the call's effect.
  const killed = new Set<string>()
  const switches = VICTIMS.map((id) =>
    lambda.killAt(functionOf(id).name, ({ callNumber, functionName }) => {
      const moment = `${functionName} ${callNumber}`
      if (callNumber > 7 || killed.has(moment)) return undefined
      killed.add(moment)
      return killed.size % 2 === 0 ? 'after-effect' : 'before-effect'
    }),
  )
  const agents: string[] = []
  for (let n = 0; n < 12; n++) agents.push((await member.spawn('exit 0')).id)
  let isOver = false
  const ended = Promise.all(agents.map((id) => socket.ended(id, 200_000))).finally(() => {
    isOver = true
  })
  while (!isOver) {
    await Promise.race([ended, delay(3_000)])
    if (!isOver) await runSchedules()
  }
  await ended
  await runSchedules()

  expect(switches.reduce((sum, { kills }) => sum + kills, 0)).toBeGreaterThanOrEqual(8)
  for (const id of agents) {
    expect(await member.agent(id)).toMatchObject({ status: 'completed', exitCode: 0 })
    expect(socket.statuses(id)).toEqual(['running', 'completed'])
  }
  expect(socket.of('agent-spawned')).toHaveLength(agents.length)
  for (const { kills } of switches) expect(kills).toBeGreaterThan(0)
  await member.stopEnvironment()
  await product.runtime.ecs.idle()
})
