/** Steps that simulations of random lives have in common. */
import type { TeamWorld } from './teams.ts'

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
