import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { readOutput } from '../../../../local/docker/output.ts'

const frame = (stream: 1 | 2, text: string): Buffer => {
  const body = Buffer.from(text)
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(body.length, 4)
  return Buffer.concat([header, body])
}

test('frames are put together however they are cut, and their lines told by stream', async () => {
  const bytes = Buffer.concat([frame(1, 'one\ntw'), frame(2, 'err é\n'), frame(1, ''), frame(1, 'o\nlast')])
  for (const size of [1, 3, 8, 9, bytes.length]) {
    const stream = new PassThrough()
    const told: string[] = []
    const done = readOutput(stream as unknown as IncomingMessage, (line, from) => told.push(`${from} ${line}`))
    for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size))
    stream.end()
    await done
    expect(told).toEqual(['stdout one', 'stderr err é', 'stdout two', 'stdout last'])
  }
})
