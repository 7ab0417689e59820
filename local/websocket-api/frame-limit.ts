import type { WebSocket } from 'ws'

/** The parts of ws 8's receiver that know a frame's length before its payload arrives. */
interface Receiver {
  readonly _payloadLength: number
  readonly _opcode: number
  haveLength(callback: (error?: Error) => void): void
  createError(type: typeof RangeError, message: string, prefix: boolean, closeCode: number, code: string): Error
}

/** Opcodes from here on are control frames, which are never longer than 125 bytes. */
const FIRST_CONTROL_OPCODE = 8

/**
 * Makes a socket close with 1009 when it receives a frame of more than `maxBytes`. ws limits messages only, so this reaches
 * into its receiver. Throws when the installed ws does not have the parts it needs.
 */
export function limitFrames(socket: WebSocket, maxBytes: number): void {
  const receiver = (socket as unknown as { _receiver?: Receiver })._receiver
  if (typeof receiver?.haveLength !== 'function' || typeof receiver.createError !== 'function')
    throw new Error('This version of ws has no receiver whose frames can be limited; see frame-limit.ts')
  const haveLength = receiver.haveLength
  receiver.haveLength = function limited(this: Receiver, callback) {
    if (this._opcode < FIRST_CONTROL_OPCODE && this._payloadLength > maxBytes) {
      const message = `A frame of ${this._payloadLength} bytes is over the limit of ${maxBytes}`
      callback(this.createError(RangeError, message, false, 1009, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'))
      return
    }
    haveLength.call(this, callback)
  }
}
