/**
 * The gateway in virtual time: every message is handled side by side with the others after a jitter, every post takes a while,
 * some posts are answered 429, some have an unclear outcome, disconnects are told late or never, and any invocation can be
 * killed between two accesses of a store.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { answerGet, answerPost, type HttpAnswer } from '../../../../shared/domain/realtime/polling-http.ts'
import type { ConnectionPoster } from '../../../../shared/domain/realtime/ports.ts'
import {
  onClientMessage,
  onConnect,
  onContainerMessage,
  onDisconnect,
} from '../../../../shared/domain/realtime/websocket-events.ts'
import type { VirtualTime } from './virtual-time.ts'
import { createWorld, type World } from './world.ts'

export interface Faults {
  /** Chances from 0 to 1. */
  readonly full: number
  readonly unclear: number
  readonly lostDisconnect: number
  /** That an invocation is killed somewhere on its way. */
  readonly kill: number
}
export const NO_FAULTS: Faults = { full: 0, unclear: 0, lostDisconnect: 0, kill: 0 }

/** One end of an open WebSocket. */
export interface Peer {
  message(text: string): void
  closed(): void
}

const JITTER_MS = 100
const VISIBILITY_SECONDS = 30
/** Accesses after which an invocation that is to be killed dies at the latest. */
const KILL_WITHIN = 40

export class SimulatedGateway {
  readonly world: World
  faults: Faults = NO_FAULTS
  /** What handlers threw: tests say which of it they expect. */
  readonly failures: unknown[] = []
  readonly frames: string[] = []
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly #open = new Map<string, Peer>()
  readonly #invocations = new AsyncLocalStorage<{ left: number; killed: () => void }>()
  #ids = 0

  constructor(time: VirtualTime, random: () => number) {
    this.#time = time
    this.#random = random
    this.world = createWorld({
      clock: time,
      sleep: time.sleep,
      poster: this.#poster(),
      travel: () => this.#travel(),
      newId: () => `id${String(++this.#ids).padStart(6, '0')}`,
      queue: (run, delaySeconds) => this.#enqueue(run, delaySeconds),
    })
  }

  jitter(): Promise<void> {
    return this.#time.sleep(this.#random() * JITTER_MS)
  }

  /** Runs a handler on its own, as Lambda does. `killed`: what the platform does when the function has died. */
  invoke(handle: () => Promise<unknown>, killed: () => void = () => undefined): void {
    const left = this.#random() < this.faults.kill ? Math.floor(this.#random() * KILL_WITHIN) : Number.POSITIVE_INFINITY
    void this.#invocations.run({ left, killed }, async () => {
      try {
        await this.jitter()
        await handle()
      } catch (error) {
        this.failures.push(error)
      }
    })
  }

  /** A queue delivers again what a dead function has not finished. */
  #enqueue(run: () => Promise<void>, delaySeconds: number): void {
    void this.#time
      .sleep(delaySeconds * 1000)
      .then(() => this.invoke(run, () => this.#enqueue(run, VISIBILITY_SECONDS)))
  }

  /** A request; undefined when its function was killed or threw (the gateway's 5xx). */
  http(method: 'GET' | 'POST', query: Record<string, string>, body = ''): Promise<HttpAnswer | undefined> {
    const { deps } = this.world
    return new Promise((resolve) => {
      const received = { at: this.#time.now().getTime(), requestId: `r${++this.#ids}` }
      // API Gateway gives up on a function that does not answer.
      void this.#time.sleep(29_000).then(() => resolve(undefined))
      this.invoke(async () => {
        try {
          const answer =
            method === 'GET' ? await answerGet(query, deps) : await answerPost(query, () => body, received, deps)
          await this.jitter()
          resolve(answer)
        } catch (error) {
          resolve(undefined)
          throw error
        }
      })
    })
  }

  /** Opens a WebSocket; undefined when it was refused. */
  connect(
    peer: Peer,
    query: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<string | undefined> {
    const connectionId = `c${++this.#ids}`
    return new Promise((resolve) => {
      void this.#time.sleep(10_000).then(() => resolve(undefined))
      this.invoke(async () => {
        const status = await onConnect({ connectionId, headers, query }, this.world.deps)
        if (status !== 200) return resolve(undefined)
        this.#open.set(connectionId, peer)
        resolve(connectionId)
      })
    })
  }

  send(connectionId: string, text: string): void {
    const received = { at: this.#time.now().getTime(), requestId: `r${++this.#ids}` }
    if (!this.#open.has(connectionId)) return
    const { deps } = this.world
    const isLink = text.includes('"action":"link"')
    this.invoke(
      () =>
        isLink
          ? onContainerMessage({ connectionId, text, received }, deps)
          : onClientMessage({ connectionId, text, received }, deps),
      () => this.#open.get(connectionId)?.message(JSON.stringify({ message: 'Internal server error', connectionId })),
    )
  }

  /** The other side, or the network, ends the connection. */
  drop(connectionId: string): void {
    if (!this.#open.delete(connectionId)) return
    if (this.#random() < this.faults.lostDisconnect) return
    this.invoke(() => onDisconnect(connectionId, this.world.deps))
  }

  #poster(): ConnectionPoster {
    return {
      post: async (connectionId, text) => {
        await this.#travel()
        if (this.#random() < this.faults.full) return 'full'
        const isUnclear = this.#random() < this.faults.unclear
        const peer = this.#open.get(connectionId)
        if (peer && !(isUnclear && this.#random() < 0.5)) {
          this.frames.push(text)
          peer.message(text)
        }
        await this.#travel()
        if (isUnclear) return 'unclear'
        return peer ? 'sent' : 'gone'
      },
      close: async (connectionId) => {
        await this.#travel()
        const peer = this.#open.get(connectionId)
        if (!peer) return
        this.drop(connectionId)
        peer.closed()
      },
    }
  }

  /** Some milliseconds, and the place where a killed invocation stops for ever. */
  async #travel(): Promise<void> {
    const invocation = this.#invocations.getStore()
    if (invocation && invocation.left-- <= 0) {
      if (invocation.left === -1) invocation.killed()
      return new Promise(() => undefined)
    }
    await this.#time.sleep(this.#random() * 8)
  }
}
