/**
 * Containers without processes: tasks that the local ECS leaves in PROVISIONING, and for each a link that this process opens
 * with the ticket from the RunTask override, on the agent image's own link client, buffer and sender. What they write is as
 * coalesced, numbered and repeated as a real container's output; only the terminal behind it is missing.
 */
import * as z from 'zod'
import { TIMINGS } from '../../container-images/agent/src/timings.ts'
import { LinkClient, type LinkOrder } from '../../container-images/common/src/link-client.ts'
import { LinkCredential } from '../../container-images/common/src/link-credential.ts'
import { OutputBuffer } from '../../container-images/common/src/output-buffer.ts'
import { OutputSender } from '../../container-images/common/src/output-sender.ts'
import { CONTAINER_ENV } from '../../shared/contracts/link.ts'

const RunTaskSchema = z.object({
  overrides: z.object({
    containerOverrides: z.array(
      z.object({ environment: z.array(z.object({ name: z.string(), value: z.string() })).default([]) }),
    ),
  }),
})

/**
 * Milliseconds from a spawn's answer to its RunTask call, which comes by way of the work queue, and for a team's first agent behind
 * two registrations of task definitions, of which ECS takes one a second.
 */
const TICKET_PATIENCE_MS = 120_000

/** Gathers the tickets of RunTask calls; `observe` is for the runtime's `onTraffic`. */
export class Tickets {
  readonly #known = new Map<string, { environment: string; ticket: string }>()
  readonly #waiting = new Map<string, () => void>()

  observe = (where: string, content: string): void => {
    if (where !== 'ecs RunTask') return
    const { overrides } = RunTaskSchema.parse(JSON.parse(content))
    for (const { environment: variables } of overrides.containerOverrides) {
      const variable = (name: string) => variables.find((each) => each.name === name)?.value
      const [environment, ticket] = [variable(CONTAINER_ENV.environment), variable(CONTAINER_ENV.ticket)]
      const agentId = environment?.split('/')[1]
      if (environment === undefined || ticket === undefined || agentId === undefined) continue
      this.#known.set(agentId, { environment, ticket })
      this.#waiting.get(agentId)?.()
    }
  }

  /** What the task of this agent was given. Rejects when RunTask is not called in time. */
  async of(agentId: string): Promise<{ environment: string; ticket: string }> {
    if (!this.#known.has(agentId)) {
      await new Promise<void>((resolve, reject) => {
        const late = () => reject(new Error(`No RunTask for agent ${agentId} within ${TICKET_PATIENCE_MS} ms`))
        const timer = setTimeout(late, TICKET_PATIENCE_MS)
        this.#waiting.set(agentId, () => {
          clearTimeout(timer)
          resolve()
        })
      })
      this.#waiting.delete(agentId)
    }
    const found = this.#known.get(agentId)
    this.#known.delete(agentId)
    if (!found) throw new Error(`The ticket of agent ${agentId} was taken already`)
    return found
  }
}

export interface FakeContainer {
  readonly agentId: string
  /** Adds output, as a PTY would. */
  write(text: string): void
  /** Bytes written and bytes that the log is known to hold. */
  readonly written: number
  readonly acknowledged: number
  /** Times that the link was lost and opened anew. */
  readonly reconnects: number
  /** What a container says every 30 s; with it the control plane looks for output that a delivery has left behind. */
  sayHealthy(): void
  /** Resolves when everything written has been acknowledged. */
  drained(): Promise<void>
  close(): Promise<void>
}

/** Connects the link of an agent's task. Resolves when the control plane has welcomed it. `onOrder` hears all but acknowledgements. */
export async function connectContainer(
  agentId: string,
  linkUrl: string,
  tickets: Tickets,
  onOrder: (order: LinkOrder) => void = () => undefined,
): Promise<FakeContainer> {
  const { environment, ticket } = await tickets.of(agentId)
  const buffer = new OutputBuffer()
  let reconnects = -1
  let client: LinkClient<'welcome'> | undefined
  const sender = new OutputSender(
    buffer,
    {
      send: (message) => client?.send(message) ?? false,
      stalled: (why) => client?.reopen(why),
      progressed: () => client?.healthy(),
    },
    TIMINGS.ackMs,
  )
  await new Promise<void>((resolve, reject) => {
    client = new LinkClient(
      linkUrl,
      new LinkCredential(environment, ticket),
      'welcome',
      {
        welcome({ acknowledged }) {
          reconnects++
          sender.connected(acknowledged)
          resolve()
        },
        order: (order) => (order.type === 'ack' ? sender.acknowledged(order.offset) : onOrder(order)),
        lost: () => sender.disconnected(),
        refused: (reason) => reject(new Error(reason)),
      },
      TIMINGS,
    )
    client.open()
  })
  return {
    agentId,
    write(text) {
      if (buffer.full) throw new Error(`The control plane does not keep up with agent ${agentId}`)
      buffer.push(Buffer.from(text))
      sender.flush()
    },
    get written() {
      return buffer.end
    },
    get acknowledged() {
      return buffer.base
    },
    get reconnects() {
      return reconnects
    },
    sayHealthy: () => void client?.send({ action: 'link', type: 'health', status: 'healthy' }),
    drained: () => sender.drained(),
    close: async () => void (await client?.close()),
  }
}
