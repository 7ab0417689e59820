/** Latency of the spawn request through gateway, authorizer and function, beside the same SDK calls made bare. */
import { SpawnAgentBodySchema } from '../../shared/contracts/agents.ts'
import { functionEnv } from '../../shared/contracts/functions.ts'
import { spawnAgent } from '../../shared/domain/agents/spawn.ts'
import { spawnAgentDeps } from '../../shared/runtime/agent-deps.ts'
import { stopAllTasks } from '../load/sync-tasks.ts'
import type { Product, TestMember } from '../support/product.ts'
import { ms, printTable, sample, times } from './statistics.ts'

const SPAWNS = 40
/** First calls pay for cold starts and connections; they are shown apart. */
const WARM_UP = 5

async function timed(count: number, act: () => Promise<unknown>): Promise<number[]> {
  const durations: number[] = []
  for (let n = 0; n < count; n++) {
    const startedAt = performance.now()
    await act()
    durations.push(performance.now() - startedAt)
  }
  return durations
}

export async function benchSpawn(product: Product): Promise<void> {
  const { environment } = product.runtime.functionOf('spawn-agent')
  Object.assign(process.env, environment, product.runtime.endpoints, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
  })
  const deps = spawnAgentDeps(functionEnv('spawn-agent', process.env))
  const body = SpawnAgentBodySchema.parse({ agentType: 'mock', task: 'exit 0' })

  // The tasks stay where they are: the request is measured, not this machine's starting of eighty processes.
  product.runtime.faults.start.add({ kind: 'stay' })
  // A team of its own each time, so that slots never run out and no socket listens.
  const members: TestMember[] = []
  const newMember = async (): Promise<TestMember> => {
    const member = await product.member()
    members.push(member)
    return member
  }
  const [first = Number.NaN, ...http] = await timed(SPAWNS + WARM_UP, async () => (await newMember()).spawn('exit 0'))
  const bare = await timed(SPAWNS + WARM_UP, async () => {
    const { teamId, userId, token } = await newMember()
    await spawnAgent({ body, member: { teamId, userId, token }, correlationId: 'bench' }, deps)
  })
  product.runtime.faults.reset()
  for (const member of members) await member.call('DELETE', '/api/agents')
  await stopAllTasks(product.runtime)
  const [ours, calls] = [sample(http.slice(WARM_UP - 1)), sample(bare.slice(WARM_UP))]
  printTable(`spawn: POST /api/agents/spawn, ${SPAWNS} times (first, cold: ${ms(first)})`, [
    ['', 'p50', 'p99'],
    ['request', ms(ours.p50), ms(ours.p99)],
    ['the same SDK calls, bare', ms(calls.p50), ms(calls.p99)],
    ['ratio', times(ours.p50 / calls.p50), times(ours.p99 / calls.p99)],
  ])
}
