/**
 * `npm start`: bundles the functions, synthesizes the CDK app for the stage `local`, and runs what the template says until
 * Ctrl-C. Options: `--reset` clears the state first. Variables: PORT (3001), JWT_SECRET, LEGACY_API_URL, ANTHROPIC_API_KEY,
 * ANTHROPIC_BASE_URL.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SignJWT } from 'jose'
import { createLogFiles } from './log-files.ts'
import { startRuntime } from './runtime.ts'
import { createScriptedModel } from './scripted-model/server.ts'

const root = join(import.meta.dirname, '..')
const stateDir = join(root, '.local')
const assemblyDirectory = join(root, '.build', 'cdk.local')

const startedAt = performance.now()
const say = (text: string) =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${text}`)

/** Runs one of the project's programs on this Node; its output is shown when it fails. */
function run(script: string, variables: Record<string, string> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, script)], {
      cwd: root,
      env: { ...process.env, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${script} ended with ${code}:\n${Buffer.concat(output).toString()}`))
    })
  })
}

/** The secret of this machine's tokens: given, or made once and kept, so that a token survives a restart. */
function jwtSecret(): string {
  if (process.env.JWT_SECRET) return process.env.JWT_SECRET
  const file = join(stateDir, 'jwt-secret')
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600 })
  return readFileSync(file, 'utf8')
}

/** As the existing server makes them: HS256, `userId`, `teamId`, 24 h. */
const tokenFor = (secret: string) =>
  new SignJWT({ userId: 'dev-user', teamId: 'dev-team' })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime('24h')
    .sign(new TextEncoder().encode(secret))

async function waitUntilHealthy(url: string): Promise<void> {
  const response = await fetch(new URL('/api/health', url))
  if (response.status !== 200) throw new Error(`/api/health answered ${response.status}: ${await response.text()}`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { reset: { type: 'boolean', default: false } } })
  if (values.reset) rmSync(stateDir, { recursive: true, force: true })
  mkdirSync(stateDir, { recursive: true })
  const closing: (() => Promise<void>)[] = []
  const stop = stopOnSignal(closing)

  const apiKey = process.env.ANTHROPIC_API_KEY
  let modelBaseUrl = process.env.ANTHROPIC_BASE_URL ?? ''
  if (!apiKey) {
    const model = await createScriptedModel()
    closing.push(() => model.close())
    modelBaseUrl = model.url
    say(`no ANTHROPIC_API_KEY: claude agents talk to a scripted model (${model.url})`)
  }
  say('bundling the functions')
  await run('scripts/bundle-functions.ts')
  say('synthesizing the CDK app')
  await run('infra/app.ts', { STAGE: 'local', CDK_OUTDIR: assemblyDirectory, MODEL_BASE_URL: modelBaseUrl })

  say('starting what the template says')
  const secret = jwtSecret()
  const logs = createLogFiles(join(stateDir, 'logs'), (line) => say(line))
  const runtime = await startRuntime({
    assemblyDirectory,
    stateDir,
    port: Number(process.env.PORT ?? 3001),
    jwtSecret: secret,
    modelKey: apiKey ?? 'scripted-model-key-0123456789',
    onLog: logs.write,
  })
  closing.push(async () => {
    await runtime.close()
    logs.close()
  })
  await waitUntilHealthy(runtime.url)
  const token = await tokenFor(secret)
  writeFileSync(join(stateDir, 'dev.json'), JSON.stringify({ url: runtime.url, token }), { mode: 0o600 })

  say(`ready: ${runtime.url}`)
  console.log(`
  API       ${runtime.url}/api/agents   (OpenAPI: ${runtime.url}/api/openapi.json)
  sockets   ${runtime.url}/socket.io/   (Socket.IO 4)
  logs      ${join(stateDir, 'logs')}
  token     ${token}
  try it    npm run try -- "write hello.txt"
  stop      Ctrl-C
`)
  await stop
}

/** Ctrl-C ends everything once, in reverse order; a second one ends at once. */
function stopOnSignal(closing: (() => Promise<void>)[]): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false
    const onSignal = () => {
      if (stopping) process.exit(130)
      stopping = true
      say('stopping')
      void (async () => {
        for (const close of closing.reverse()) await close()
        resolve()
        process.exit(0)
      })().catch((error: unknown) => {
        console.error(error)
        process.exit(1)
      })
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
