import type { Duplex } from 'node:stream'

const ANSWERS: Readonly<Record<string, readonly [status: string, text: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'The headers of the request are too large; clearing cookies may help.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['413 Content Too Large', 'The request has too many chunk extensions.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request took too long to arrive.'],
}
const BAD_REQUEST = ['400 Bad Request', 'The request is not valid HTTP.'] as const

/**
 * Answers what the parser refused, and ends the connection: what follows on it cannot be trusted to be a request. Said only when no
 * answer has begun on that connection; in the middle of one it would be taken for a part of it.
 */
export function answerBrokenRequest(
  error: Error & { code?: string },
  // `_httpMessage` is Node's own mark of the answer whose turn it is; its default handler looks at it, too.
  socket: Duplex & { _httpMessage?: { headersSent: boolean } | null },
): void {
  if (!socket.writable || error.code === 'ECONNRESET' || socket._httpMessage?.headersSent) {
    socket.destroy()
    return
  }
  const [status, text] = ANSWERS[error.code ?? ''] ?? BAD_REQUEST
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${text.length + 1}\r\nconnection: close\r\n\r\n${text}\n`,
  )
}
