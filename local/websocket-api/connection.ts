import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { ConnectionInfo } from './events.ts'

/** How a connection ended, as `$disconnect` tells it. */
export interface Disconnection {
  readonly code: number
  readonly reason: string
}

/** What a connection is opened with. Times are in milliseconds. */
export interface ConnectionOptions {
  readonly idleTimeoutMs: number
  readonly maxDurationMs: number
  /** The most bytes that wait to be sent to a slow client. */
  readonly maxBufferedBytes: number
  readonly onMessage: (text: string) => void
  /** Called once, when the connection is gone for the gateway; a socket that lingers does not count. */
  readonly onEnd: (end: Disconnection) => void
  readonly onProtocolError: (error: Error) => void
}

const GOING_AWAY: Disconnection = { code: 1001, reason: 'Going away' }

/** The codes with which ws closes a connection whose client breaks the protocol or a limit. */
const CLOSE_CODES: Readonly<Record<string, number>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_EXPECTED_FIN: 1002,
  WS_ERR_EXPECTED_MASK: 1002,
  WS_ERR_INVALID_CLOSE_CODE: 1002,
  WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH: 1002,
  WS_ERR_INVALID_OPCODE: 1002,
  WS_ERR_UNEXPECTED_MASK: 1002,
  WS_ERR_UNEXPECTED_RSV_1: 1002,
  WS_ERR_UNEXPECTED_RSV_2_3: 1002,
}

/** A client's connection. Before `open` it is waiting for `$connect`, and nothing can be sent to it. */
export class Connection {
  readonly info: ConnectionInfo
  lastActiveAt: number
  readonly #netSocket: Socket
  #socket: WebSocket | undefined
  #options: ConnectionOptions | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #durationTimer: NodeJS.Timeout | undefined
  #ended = false

  constructor(info: ConnectionInfo, netSocket: Socket) {
    this.info = info
    this.lastActiveAt = info.connectedAt
    this.#netSocket = netSocket
  }

  get isOpen(): boolean {
    return this.#socket !== undefined && !this.#ended
  }

  /** Takes over the socket after a successful upgrade. */
  open(socket: WebSocket, options: ConnectionOptions): void {
    this.#socket = socket
    this.#options = options
    socket.on('message', (data, isBinary) => {
      if (this.#ended) return
      this.#touch()
      if (isBinary) this.close({ code: 1003, reason: 'Unsupported data' })
      else options.onMessage(data.toString())
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      options.onProtocolError(error)
      // ws closes the socket itself, and then says 1006 whatever it told the client.
      const code = CLOSE_CODES[error.code ?? '']
      if (code !== undefined) this.#end({ code, reason: error.message })
    })
    socket.on('close', (code, reason) => this.#end(disconnectionOf(code, reason.toString())))
    this.#durationTimer = setTimeout(() => this.close(GOING_AWAY), options.maxDurationMs)
    this.#durationTimer.unref()
    this.#touch()
  }

  /** Sends a text message after those before it. False when the client reads too slowly to take it. */
  send(text: string): boolean {
    const socket = this.#socket
    if (!socket || !this.#options) throw new Error('The connection is not open')
    if (socket.bufferedAmount + Buffer.byteLength(text) > this.#options.maxBufferedBytes) return false
    this.#touch()
    socket.send(text)
    return true
  }

  /** Ends the connection from the gateway's side; `$disconnect` follows at once, whether or not the client answers. */
  close(end: Disconnection): void {
    this.#socket?.close(end.code, end.reason)
    this.#end(end)
  }

  /** Resets the TCP connection, as when a client loses its network. */
  reset(): void {
    this.#netSocket.resetAndDestroy()
  }

  #touch(): void {
    if (!this.#options || this.#ended) return
    this.lastActiveAt = Date.now()
    if (this.#idleTimer) this.#idleTimer.refresh()
    else this.#idleTimer = setTimeout(() => this.close(GOING_AWAY), this.#options.idleTimeoutMs).unref()
  }

  #end(end: Disconnection): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#idleTimer)
    clearTimeout(this.#durationTimer)
    this.#options?.onEnd(end)
  }
}

function disconnectionOf(code: number, reason: string): Disconnection {
  if (code === 1005) return { code, reason: 'Client-side close frame status not set' }
  if (code === 1006) return { code, reason: reason || 'Connection closed abnormally' }
  return { code, reason }
}
