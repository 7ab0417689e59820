import type { ChildProcess } from 'node:child_process'
import { splitLines } from '../ecs/lines.ts'

/** Tells a command's lines until it has ended. Resolves with its exit code; rejects when it cannot be started. */
export function readUntilEnd(child: ChildProcess, onLine: (line: string) => void): Promise<number | null> {
  for (const stream of [child.stdout, child.stderr]) {
    const lines = splitLines(onLine)
    stream?.on('data', (chunk: Buffer) => lines.push(chunk))
    stream?.once('end', () => lines.end())
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
