import type { IncomingMessage } from 'node:http'
import { splitLines } from '../ecs/lines.ts'

const HEADER_BYTES = 8

/**
 * Reads the output of an attached container without a terminal: frames of a stream's number, three zeros, the length, and as
 * many bytes (Docker Engine API, "Attach to a container", stream format). Resolves when the container's output has ended;
 * lines that had no end are told then.
 */
export function readOutput(
  stream: IncomingMessage,
  onLine: (line: string, stream: 'stdout' | 'stderr') => void,
): Promise<void> {
  const stdout = splitLines((line) => onLine(line, 'stdout'))
  const stderr = splitLines((line) => onLine(line, 'stderr'))
  let header = Buffer.alloc(0)
  /** Bytes of the present frame that are still to come. */
  let left = 0
  let target = stdout

  function take(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (left === 0) {
        const part = chunk.subarray(at, at + HEADER_BYTES - header.length)
        header = Buffer.concat([header, part])
        at += part.length
        if (header.length < HEADER_BYTES) return
        target = header[0] === 2 ? stderr : stdout
        left = header.readUInt32BE(4)
        header = Buffer.alloc(0)
        continue
      }
      const part = chunk.subarray(at, at + left)
      target.push(part)
      at += part.length
      left -= part.length
    }
  }

  return new Promise((resolve) => {
    stream.on('data', take)
    // When the engine goes away its containers' output is over, too.
    stream.once('error', () => {})
    stream.once('close', () => {
      stdout.end()
      stderr.end()
      resolve()
    })
  })
}
