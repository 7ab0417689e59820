/**
 * The `mock` agent: a line shell that runs in the PTY in the place of a model's CLI. `argv[2]`, when given, is the task, which it
 * carries out first as if it had been typed. The terminal itself echoes and edits lines.
 */
import { createInterface } from 'node:readline'
import { MockShell } from './mock-shell.ts'

const PROMPT = 'mock> '

/** Gives the event loop a turn, so that an interruption is heard between two writes. */
const print = (text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : setImmediate(resolve)))
  })

async function main(task: string | undefined): Promise<number> {
  const shell = new MockShell({ print, workspace: process.cwd() })
  let running: AbortController | undefined
  process.on('SIGINT', () => {
    running?.abort()
    // The terminal has echoed ^C; at the prompt a new one is needed.
    process.stdout.write(running ? '\n' : `\n${PROMPT}`)
  })
  const run = async (line: string): Promise<number | undefined> => {
    running = new AbortController()
    const code = await shell.run(line, running.signal)
    running = undefined
    return code
  }

  await print(PROMPT)
  if (task !== undefined) {
    await print(`${task}\n`)
    const code = await run(task)
    if (code !== undefined) return code
    await print(PROMPT)
  }
  for await (const line of createInterface({ input: process.stdin, terminal: false })) {
    const code = await run(line)
    if (code !== undefined) return code
    await print(PROMPT)
  }
  return 0
}

// Everything is printed when `main` resolves; standard input would keep the process alive.
process.exit(await main(process.argv[2]))
