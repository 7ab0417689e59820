/** A server that shows the bytes it was sent and answers whatever bytes a test wants: the existing server at its worst. */
import { type AddressInfo, createServer, type Socket } from 'node:net'

export interface RawRequest {
  /** Request line and header lines as they came. */
  readonly head: readonly string[]
  readonly body: Buffer
}
/** What to send: all at once, or in the test's own way. */
export type RawAnswer = Buffer | string | ((socket: Socket, request: RawRequest) => void)

export async function startRawServer() {
  const asked: RawRequest[] = []
  let answer: RawAnswer = 'HTTP/1.1 204 No Content\r\n\r\n'
  const sockets = new Set<Socket>()

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined) // the client may cut what it does not want
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      const request = complete(bytes)
      if (!request) return
      bytes = Buffer.alloc(0)
      asked.push(request)
      if (typeof answer === 'function') answer(socket, request)
      else socket.end(answer)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    answerWith(given: RawAnswer) {
      answer = given
      asked.length = 0
    },
    close(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** A request by its Content-Length; whatever follows it is part of the body shown, so that a smuggled one would be seen. */
function complete(bytes: Buffer): RawRequest | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const length = Number(/^content-length: *(\d+)$/im.exec(head.join('\n'))?.[1] ?? 0)
  const body = bytes.subarray(end + 4)
  return body.length >= length ? { head, body } : undefined
}
