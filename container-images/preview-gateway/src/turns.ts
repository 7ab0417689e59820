import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

type Queue = { busy: boolean; readonly waiting: (() => void)[] }

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
    return this.#queues.get(socket)?.busy ?? false
  }

  /**
   * True, or resolves with it when the answers before are done; false when the connection has gone. The turn ends when `response`
   * closes. A connection with too many requests waiting is cut.
   */
  take(socket: Socket, response: ServerResponse): boolean | Promise<boolean> {
    let queue = this.#queues.get(socket)
    if (!queue) {
      queue = { busy: false, waiting: [] }
      this.#queues.set(socket, queue)
    }
    if (!queue.busy) return begin(queue, socket, response)
    if (queue.waiting.length >= this.#limit) {
      socket.destroy()
      return false
    }
    const { waiting } = queue
    return new Promise((resolve) => waiting.push(() => resolve(begin(queue, socket, response))))
  }
}

function begin(queue: Queue, socket: Socket, response: ServerResponse): boolean {
  const goes = !socket.destroyed && !response.destroyed
  queue.busy = goes
  if (goes) response.on('close', () => end(queue))
  else end(queue)
  return goes
}

function end(queue: Queue): void {
  queue.busy = false
  queue.waiting.shift()?.()
}
