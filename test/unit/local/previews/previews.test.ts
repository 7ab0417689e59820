import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPreviews, type Previews } from '../../../../local/previews/previews.ts'

/** Stands in for the gateway: says where it listens, answers with its environment, and ends with the code it is asked for. */
const PROGRAM = `
import { createServer } from 'node:http'
const server = createServer((request, response) => {
  if (request.url.startsWith('/end/')) process.exit(Number(request.url.slice(5)))
  response.end(JSON.stringify({ pid: process.pid, env: process.env }))
})
server.listen(Number(process.env.PORT), process.env.HOST, () => {
  if (process.env.FAULT) { console.log(process.env.FAULT); process.exit(7) }
  console.log(JSON.stringify({ message: 'The preview gateway listens', port: server.address().port, healthPort: 1 }))
})
`

let directory: string
let previews: Previews
const lines: string[] = []
let lineCame = Promise.withResolvers<void>()

beforeEach(async () => {
  lines.length = 0
  directory = mkdtempSync(join(tmpdir(), 'previews-'))
  writeFileSync(join(directory, 'program.mjs'), PROGRAM)
  previews = await openPreviews(0)
})
afterEach(async () => {
  await previews.close()
  rmSync(directory, { recursive: true })
})

const start = (environment: Record<string, string> = {}, stateDir = join(directory, 'state')) =>
  previews.start({
    gateway: {
      domain: 'preview.localhost',
      container: {
        name: 'gateway',
        image: 'image-of-the-gateway',
        environment: Object.entries({
          PORT: '8080',
          HEALTH_PORT: '8081',
          BEHIND_LOAD_BALANCER: 'true',
          APP_ORIGIN: 'http://127.0.0.1:3001',
          ...environment,
        }).map(([name, value]) => ({ name, value })),
        secrets: [{ name: 'PREVIEW_SECRET', valueFrom: 'arn-of-the-secret' }],
      },
    },
    stateDir,
    images: (uri) =>
      uri === 'image-of-the-gateway'
        ? { directory, entryPoint: [process.execPath, join(directory, 'program.mjs')] }
        : undefined,
    secret: async (valueFrom) => `value of ${valueFrom}`,
    endpoints: { AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1' },
    onLine: (line) => {
      lines.push(line)
      lineCame.resolve()
      lineCame = Promise.withResolvers()
    },
  })

const visit = async (path = '/'): Promise<{ pid: number; env: Record<string, string> }> => {
  const response = await fetch(`http://127.0.0.1:${previews.port}${path}`, { headers: { connection: 'close' } })
  return (await response.json()) as { pid: number; env: Record<string, string> }
}

async function lineWith(text: string): Promise<string> {
  for (;;) {
    const found = lines.find((line) => line.includes(text))
    if (found !== undefined) return found
    await lineCame.promise
  }
}

describe('the gateway on one machine', () => {
  it('is given what the template says, the secret, and where AWS is here', async () => {
    await start()
    const { env } = await visit()
    expect(env).toMatchObject({
      PREVIEW_SECRET: 'value of arn-of-the-secret',
      AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'preview-gateway',
      APP_ORIGIN: 'http://127.0.0.1:3001 http://localhost:3001',
      // No load balancer stands in front, and a forged X-Forwarded-For must not be taken for one's.
      BEHIND_LOAD_BALANCER: 'false',
      HOST: '127.0.0.1',
    })
    expect(env.ANTHROPIC_API_KEY ?? env.npm_config_cache).toBeUndefined()
  })

  it('is started again when it dies, at the same port', async () => {
    await start()
    const before = await visit()
    await expect(visit('/end/3')).rejects.toThrow()
    await lineWith('ended with 3; it is started again')
    const after = await visit()
    expect(after.pid).not.toBe(before.pid)
  })

  it('lets a visit wait until it listens', async () => {
    const waiting = visit()
    await start()
    expect((await waiting).pid).toBeGreaterThan(0)
  })

  it('says why it cannot start', async () => {
    await expect(start({ FAULT: 'APP_ORIGIN: must be an origin' })).rejects.toThrow(
      /ended with 7:\nAPP_ORIGIN: must be an origin/,
    )
  })

  it('ends with the runtime', async () => {
    await start()
    const { pid } = await visit()
    await previews.close()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    await expect(visit()).rejects.toThrow()
  })

  it('ends one that a runtime has left that was killed', { skip: process.platform !== 'linux' }, async () => {
    const state = join(directory, 'state')
    const left = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
      env: { HOME: join(state, 'preview-gateway') },
    })
    const ended = once(left, 'exit')
    await once(left, 'spawn')
    await start({}, state)
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect((await visit()).pid).toBeGreaterThan(0)
  })
})

describe('the port of previews', () => {
  let taken: Server
  afterEach(() => taken.close())

  it('is named, with what chooses another one, when it is taken', async () => {
    taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(openPreviews(port)).rejects.toThrow(`Port ${port} of previews is taken`)
  })
})
