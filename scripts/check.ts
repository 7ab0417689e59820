/**
 * `npm run check`: everything that must hold beside the tests. Each part is an npm script of its own; all are run even when one fails, two
 * at a time, and what failed is shown whole.
 */
import { spawn } from 'node:child_process'

/** Parts of one line are run one after the other; the longest come first. */
const PARTS: readonly (readonly string[])[] = [
  ['check:promises'],
  ['bundle', 'check:templates', 'bundle:report'],
  ['typecheck'],
  ['check:unused'],
  ['check:imports'],
  ['check:format'],
  ['check:openapi'],
]
const AT_ONCE = 2

interface Outcome {
  readonly script: string
  readonly ok: boolean
  readonly output: string
  readonly seconds: number
}

function run(script: string): Promise<Outcome> {
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['run', '--silent', script], { stdio: ['ignore', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      const seconds = (performance.now() - started) / 1000
      resolve({ script, ok: code === 0, output: Buffer.concat(output).toString(), seconds })
    })
  })
}

async function runInOrder(scripts: readonly string[]): Promise<boolean> {
  for (const script of scripts) {
    const { ok, output, seconds } = await run(script)
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${script} (${seconds.toFixed(1)} s)`)
    if (!ok || script === 'bundle:report') console.log(output)
    if (!ok) return false
  }
  return true
}

const waiting = [...PARTS]
const results: boolean[] = []
async function worker(): Promise<void> {
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) results.push(await runInOrder(part))
}
await Promise.all(Array.from({ length: AT_ONCE }, worker))
process.exitCode = results.every(Boolean) ? 0 : 1
