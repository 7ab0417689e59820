/**
 * `npm start`: bundles the functions, synthesizes the CDK app for the stage `local`, and runs what the template says until
 * Ctrl-C. Options: `--reset` clears the state first, `--frontend DIR` serves a built frontend on the same origin,
 * `--backend docker` runs tasks as containers of the Docker engine at DOCKER_HOST instead of processes. Variables: PORT (3001),
 * PREVIEW_PORT (3002), PREVIEW_IDLE_MINUTES (30), JWT_SECRET, LEGACY_API_URL (without it a stand-in of the existing server runs here), ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL,
 * TASK_BACKEND (as `--backend`), and for containers DOCKER_NETWORK, CONTAINER_BASE and DOCKER (local/docker/from-environment.ts).
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve as resolvePath } from 'node:path'
import { parseArgs } from 'node:util'
import { imagesOfTemplate, openDockerOf } from './docker/from-environment.ts'
import { removeRemembered } from './docker/leftovers.ts'
import { startExistingServer } from './existing-server/server.ts'
import { issueToken } from './existing-server/tokens.ts'
import { serveDirectory } from './frontend/serve-directory.ts'
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

/** The built frontend of `--frontend DIR`. @throws when there is none. */
function frontendOf(directory: string) {
  const index = join(resolvePath(directory), 'index.html')
  if (!existsSync(index)) throw new Error(`--frontend ${directory}: there is no ${index}`)
  return serveDirectory(resolvePath(directory))
}

async function waitUntilHealthy(url: string): Promise<void> {
  const response = await fetch(new URL('/api/health', url))
  if (response.status !== 200) throw new Error(`/api/health answered ${response.status}: ${await response.text()}`)
}

/** What ends what was started, in the order of the starts. */
const closing: (() => Promise<void>)[] = []

async function closeAll(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close()
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      reset: { type: 'boolean', default: false },
      frontend: { type: 'string' },
      backend: { type: 'string', default: process.env.TASK_BACKEND || 'process' },
    },
  })
  if (values.backend !== 'process' && values.backend !== 'docker')
    throw new Error(`--backend ${values.backend}: there are the backends process and docker`)
  const frontend = values.frontend === undefined ? undefined : frontendOf(values.frontend)
  // Containers of a run that was killed live on without it; an engine that has gone since has none either.
  await removeRemembered(stateDir).catch((error: Error) => say(`left as it is: ${error.message}`))
  if (values.reset) rmSync(stateDir, { recursive: true, force: true })
  mkdirSync(stateDir, { recursive: true })
  const stop = stopOnSignal()

  const secret = jwtSecret()
  const logs = createLogFiles(join(stateDir, 'logs'), (line) => say(line))
  closing.push(async () => logs.close())
  const docker =
    values.backend === 'docker'
      ? await openDockerOf(process.env, { stateDir, onLog: (line) => logs.write('docker-build', line) })
      : undefined
  if (docker) closing.push(() => docker.close())
  if (docker && !docker.sharesLoopback)
    say(
      'containers have a network of their own: repositories on 127.0.0.1 are refused (DOCKER_NETWORK=host shares this one)',
    )
  const apiKey = process.env.ANTHROPIC_API_KEY
  const modelKey = apiKey ?? 'scripted-model-key-0123456789'
  let modelBaseUrl = process.env.ANTHROPIC_BASE_URL ?? ''
  if (!apiKey) {
    const model = await createScriptedModel()
    closing.push(() => model.close())
    modelBaseUrl = model.url
    say(`no ANTHROPIC_API_KEY: claude agents talk to a scripted model (${model.url})`)
  }
  let legacyApiUrl = process.env.LEGACY_API_URL ?? ''
  if (!legacyApiUrl) {
    const existingServer = await startExistingServer({
      directory: join(stateDir, 'existing-server'),
      jwtSecret: secret,
      model: { baseUrl: modelBaseUrl || 'https://api.anthropic.com', apiKey: modelKey },
      onLog: (line) => logs.write('existing-server', line),
    })
    closing.push(() => existingServer.close())
    legacyApiUrl = existingServer.url
    say(`no LEGACY_API_URL: accounts and teams are a stand-in's (${legacyApiUrl})`)
  }
  say('bundling the functions')
  await run('scripts/bundle-functions.ts')
  say('synthesizing the CDK app')
  await run('infra/app.ts', {
    STAGE: 'local',
    CDK_OUTDIR: assemblyDirectory,
    // CI validates; here the template is only run.
    CDK_VALIDATION: 'false',
    MODEL_BASE_URL: docker ? await docker.reach(modelBaseUrl) : modelBaseUrl,
    LEGACY_API_URL: legacyApiUrl,
    // Refused at once: in a container's own network such an address is the container itself.
    ALLOW_LOOPBACK_REPOSITORIES: docker && !docker.sharesLoopback ? 'false' : '',
  })

  say('starting what the template says')
  const runtime = await startRuntime({
    assemblyDirectory,
    stateDir,
    port: Number(process.env.PORT ?? 3001),
    previewPort: Number(process.env.PREVIEW_PORT ?? 3002),
    jwtSecret: secret,
    modelKey,
    onLog: logs.write,
    ...(frontend ? { frontend } : {}),
    ...(docker ? { backend: ({ assets }) => docker.backend((uri) => assets.image(uri)) } : {}),
  })
  closing.push(() => runtime.close())
  if (docker) {
    say('building the images (the log: docker-build.log)')
    for (const image of imagesOfTemplate(runtime.assembly)) await runtime.backend.pull(image)
  }
  await waitUntilHealthy(runtime.url)
  const token = await issueToken({ userId: 'dev-user', teamId: 'dev-team' }, secret)
  const dev = {
    url: runtime.url,
    token,
    apiUrl: runtime.apiUrl,
    secretsManagerUrl: runtime.endpoints.AWS_ENDPOINT_URL_SECRETS_MANAGER,
  }
  writeFileSync(join(stateDir, 'dev.json'), JSON.stringify(dev), { mode: 0o600 })

  say(`ready: ${runtime.url}`)
  console.log(`
  app       ${frontend ? runtime.url : 'npm start -- --frontend DIR serves a built frontend here'}
  API       ${runtime.url}/api/agents   (OpenAPI: ${runtime.url}/api/openapi.json)
  sockets   ${runtime.url}/socket.io/   (Socket.IO 4)
  previews  ${runtime.previewUrl('<label>') ?? 'none'}
  logs      ${join(stateDir, 'logs')}
  token     ${token}
  try it    npm run try -- "write hello.txt"
  stop      Ctrl-C
`)
  await stop
}

/** Ctrl-C ends everything once, in reverse order; a second one ends at once. */
function stopOnSignal(): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false
    const onSignal = () => {
      if (stopping) process.exit(130)
      stopping = true
      say('stopping')
      void (async () => {
        await closeAll()
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

await main().catch(async (error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  await closeAll().catch((failure: unknown) => console.error(failure))
  process.exit(1)
})
