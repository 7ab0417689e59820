import type { IncomingMessage } from 'node:http'

/** The request's body is larger than the service takes; the rest of it has been read and thrown away. */
export class BodyTooLarge extends Error {
  readonly limitBytes: number
  constructor(limitBytes: number) {
    super(`The body is larger than ${limitBytes} bytes`)
    this.name = 'BodyTooLarge'
    this.limitBytes = limitBytes
  }
}

/** The client went away before its whole request had come. */
export class ClientAborted extends Error {
  constructor() {
    super('The client closed the connection before its request was complete')
    this.name = 'ClientAborted'
  }
}

/**
 * Reads a request's whole body, never holding more than `limitBytes` of it. Over the limit it still drains the rest,
 * so that the client, which may be writing, can read the refusal.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limitBytes) chunks = []
      else chunks.push(chunk)
    })
    request.on('end', () => {
      if (size > limitBytes) reject(new BodyTooLarge(limitBytes))
      else resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks))
    })
    request.on('error', () => reject(new ClientAborted()))
    request.on('close', () => {
      if (!request.complete) reject(new ClientAborted())
    })
  })
}
