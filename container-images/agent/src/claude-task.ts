/**
 * Runs in the PTY for `claude` with a task (`argv[2]`): the CLI carries it out without questions, its progress is shown
 * readably, and this process ends with the CLI's code.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { claudeExecutable } from './claude-cli.ts'
import { StreamRenderer } from './stream-renderer.ts'

const task = process.argv[2] ?? ''
const cli = spawn(
  claudeExecutable(),
  [
    '--print',
    '--verbose',
    '--output-format',
    'stream-json',
    '--include-partial-messages',
    '--dangerously-skip-permissions',
  ],
  // The task goes in by standard input: as an argument, one that begins with a dash would be an option.
  { stdio: ['pipe', 'pipe', 'inherit'] },
)

// Ctrl-C reaches the whole foreground group: the CLI ends in its own way, and this process reports how.
process.on('SIGINT', () => undefined)
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => cli.kill(signal))

const renderer = new StreamRenderer(process.cwd())
createInterface({ input: cli.stdout }).on('line', (line) => process.stdout.write(renderer.render(line)))
// EPIPE: the CLI ended before it read the task; its own message and code say why.
cli.stdin.on('error', () => undefined)
cli.stdin.end(task)

cli.on('error', (error) => {
  process.stdout.write(`claude could not be started: ${error.message}\n`)
  process.exitCode = 127
})
cli.on('close', (code, signal) => {
  process.exitCode = code ?? 128 + (signal ? constants.signals[signal] : 0)
})
