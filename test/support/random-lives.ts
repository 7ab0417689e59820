/** Steps that simulations of random lives have in common. */
import fc from 'fast-check'
import { observeTask } from '../../shared/domain/environments/operations.ts'
import { RUN_FAULTS, type SimulatedEcs } from './simulated-ecs.ts'
import type { TeamWorld } from './teams.ts'

const advance = fc.record({ do: fc.constant('advance' as const) })
const exit = fc.record({
  do: fc.constant('exit' as const),
  n: fc.nat({ max: 3 }),
  code: fc.constantFrom(0, 3, 137),
})
/** One of ECS's events arrives, for the first time or again; those that never come up are lost. */
const event = fc.record({ do: fc.constant('event' as const), n: fc.nat() })
const runFault = fc.record({ do: fc.constant('run-fault' as const), fault: fc.constantFrom(...RUN_FAULTS) })
const stopFault = fc.record({ do: fc.constant('stop-fault' as const) })
const forget = fc.record({ do: fc.constant('forget' as const) })

/** What ECS does by itself, each as likely as the others. */
export const ECS_STEPS = [advance, exit, event, runFault, stopFault, forget] as const
type EcsStep = (typeof ECS_STEPS)[number] extends fc.Arbitrary<infer S> ? S : never

/** The same in the life of a team, and queue messages that are taken side by side, whatever their delay: each once, twice, or never. */
export const TEAM_STEPS = [
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('work' as const),
      messages: fc.array(fc.record({ n: fc.nat(), times: fc.integer({ min: 0, max: 2 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
  { weight: 4, arbitrary: advance },
  { weight: 1, arbitrary: exit },
  { weight: 5, arbitrary: event },
  { weight: 1, arbitrary: runFault },
  { weight: 1, arbitrary: stopFault },
  { weight: 1, arbitrary: forget },
] as const

interface EcsWorld {
  readonly ecs: SimulatedEcs
  readonly deps: Parameters<typeof observeTask>[1]
}

export async function playEcs({ ecs, deps }: EcsWorld, action: EcsStep): Promise<void> {
  switch (action.do) {
    case 'advance':
      return ecs.advance()
    case 'exit':
      return ecs.exit(action.n, action.code)
    case 'event': {
      const told = ecs.events[action.n % Math.max(ecs.events.length, 1)]
      // A handler that fails is run again by EventBridge; here: another event step, or never.
      if (told) await observeTask(told, deps).catch(() => undefined)
      return
    }
    case 'run-fault':
      return void ecs.runFaults.push(action.fault)
    case 'stop-fault':
      ecs.stopFails++
      return
    case 'forget':
      return ecs.forgetStopped()
  }
}

/** Which of the queue's messages are taken side by side, whatever their delay, and how often each: 0 loses it. */
export type Taken = readonly { readonly n: number; readonly times: number }[]

/** A member is told no with words when something is being taken down or is not there. @throws what is no such answer. */
export async function asked(operation: Promise<unknown>): Promise<void> {
  await operation.catch((error: unknown) => {
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
    if (code !== 'CONFLICT' && code !== 'NOT_FOUND' && code !== 'TOO_MANY_AGENTS') throw error
  })
}

/** What the queue does: a message whose handler throws comes again. */
export async function work(world: TeamWorld, messages: Taken): Promise<void> {
  const taken = messages.flatMap(({ n, times }) => {
    const [message] = world.queue.splice(n % Math.max(world.queue.length, 1), 1)
    return message ? Array.from({ length: times }, () => message) : []
  })
  await Promise.all(
    taken.map(async (message) => {
      try {
        await world.handle(message.work)
      } catch {
        world.queue.push(message)
      }
    }),
  )
}

/** A healthy world, in which every message that was under way is lost; `again` is asked once a minute. */
export async function heal(world: TeamWorld, again: () => Promise<void>): Promise<void> {
  world.ecs.runFaults = []
  world.ecs.stopFails = 0
  world.aws.faults = []
  world.queue.length = 0
  for (let cycle = 0; cycle < 12; cycle++) {
    await again()
    await world.minute()
    await world.settle({ minutes: true })
  }
}

/** Somebody asks again for a removal that was given up. */
export const removesAgain = (world: TeamWorld, remove: () => Promise<unknown>) => async (): Promise<void> => {
  const team = await world.teams.get(world.teamId)
  if (team?.removal && Date.parse(team.removal.deadline) < world.deps.clock.now().getTime()) await remove()
}
