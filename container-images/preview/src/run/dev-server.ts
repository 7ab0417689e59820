import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Project } from '../project/types.ts'
import { childEnvironment, type Surroundings } from './environment.ts'
import { type Listener, listenersOf } from './listening.ts'
import { answers, Forwarder, frontOf, visitedAddress } from './reach.ts'
import type { RunTimings } from './run-timings.ts'
import { Session, type SessionEnd } from './session.ts'

export type DevServerOptions = {
  readonly project: Project
  readonly command: string
  readonly surroundings: Surroundings
  readonly timings: RunTimings
  readonly output: (bytes: Buffer) => void
  readonly say: (text: string) => void
}

/**
 * A project's own server. It is told host and port by variables and, where its type has them, by flags; one that listens somewhere else all
 * the same is found there, and what comes to the port is passed on to it.
 */
export class DevServer {
  readonly #options: DevServerOptions
  readonly #session: Session
  readonly #address: string
  #forwarder: Forwarder | undefined
  #over = false

  constructor(options: DevServerOptions) {
    const { project, command, surroundings, output } = options
    this.#options = options
    this.#address = visitedAddress(surroundings.host)
    this.#session = new Session({
      command,
      cwd: path.join(surroundings.places.tree, project.directory),
      env: childEnvironment(project, surroundings),
      output,
    })
  }

  get ended(): Promise<SessionEnd> {
    return this.#session.ended
  }

  /** Whether something that is not this project's takes connections on the port. To be asked before it is started. */
  static isTaken({ host, port }: Surroundings): Promise<boolean> {
    return answers(visitedAddress(host), port)
  }

  /** Whether the port takes connections now. */
  answers(): Promise<boolean> {
    const { target } = this.#forwarder ?? {}
    return target ? answers(target.address, target.port) : answers(this.#address, this.#options.surroundings.port)
  }

  /** Resolves when the port takes connections; never when the server ends before. `silent` is called when that takes suspiciously long. */
  async untilReady(signal: AbortSignal, silent: (why: string) => void): Promise<'ready'> {
    const { timings, surroundings } = this.#options
    const began = performance.now()
    let told = false
    while (!signal.aborted && !this.#over) {
      if (await answers(this.#address, surroundings.port)) return 'ready'
      const waited = performance.now() - began
      if (waited > timings.elsewhereAfterMs && (await this.#forward(waited < timings.pageWaitMs))) return 'ready'
      if (waited > timings.silentMs && !told) {
        told = true
        silent(
          `The server runs, but listens nowhere yet; it is asked to listen on port ${surroundings.port} (the variable PORT)`,
        )
      }
      await delay(timings.probeEveryMs)
    }
    return new Promise(() => undefined)
  }

  /** Ends it and all that it has started. */
  async end(): Promise<void> {
    this.#over = true
    await this.#forwarder?.close()
    await this.#session.end(this.#options.timings.graceMs)
  }

  /** True when the server listens elsewhere and its visitors are passed on to there. */
  async #forward(patient: boolean): Promise<boolean> {
    const { surroundings, say } = this.#options
    const target = await this.#findListener(patient)
    if (!target || this.#over) return false
    try {
      const forwarder = await Forwarder.open(this.#address, surroundings.port, target)
      if (this.#over) {
        await forwarder.close()
        return false
      }
      this.#forwarder = forwarder
    } catch (error) {
      // It listens on the port by now.
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
      throw error
    }
    const where =
      target.port === surroundings.port
        ? `${target.address} only`
        : `port ${target.port} instead of ${surroundings.port}`
    say(`The server listens on ${where}: visitors are passed on to there`)
    return true
  }

  /** A page is taken at once; an API may have a page beside it that is still to come. */
  async #findListener(patient: boolean): Promise<Listener | undefined> {
    const others: Listener[] = []
    for (const listener of listenersOf(this.#session.pids())) {
      const front = await frontOf(listener)
      if (front === 'page') return listener
      if (front === 'other') others.push(listener)
    }
    return patient ? undefined : others[0]
  }
}
