import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

type Queue = { last: Promise<void>; length: number }

/**
 * One request at a time on a connection. Node hands over requests that were sent ahead all at once, and their answers wait for one
 * another: those that wait never hear that the connection has gone, and whatever is counted until their end is counted for ever.
 */
export class Turns {
  readonly #limit: number
  readonly #queues = new WeakMap<Socket, Queue>()

  constructor(limit: number) {
    this.#limit = limit
  }

  isBusy(socket: Socket): boolean {
    return (this.#queues.get(socket)?.length ?? 0) > 0
  }

  /**
   * Resolves when the answers before are done, with false when the connection has gone; the turn ends when `response` closes. A
   * connection with too many requests waiting is cut.
   */
  async take(socket: Socket, response: ServerResponse): Promise<boolean> {
    const queue = this.#queues.get(socket) ?? { last: Promise.resolve(), length: 0 }
    this.#queues.set(socket, queue)
    if (queue.length > this.#limit) {
      socket.destroy()
      return false
    }
    const before = queue.last
    const turn = Promise.withResolvers<void>()
    queue.last = turn.promise
    queue.length += 1
    const end = () => {
      queue.length -= 1
      turn.resolve()
    }
    await before
    if (socket.destroyed || response.destroyed) {
      end()
      return false
    }
    response.once('close', end)
    return true
  }
}
