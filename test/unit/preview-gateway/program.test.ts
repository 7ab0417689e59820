/** The program as its container starts it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { issueTicket, newPreviewLabel, newTicketId } from '../../../shared/domain/previews/signatures.ts'
import { programEnv, startDirectoryTable } from './directory-table.ts'
import { APP, DOMAIN, SECRET, startTask, TEAM } from './fixture.ts'

const MAIN = new URL('../../../container-images/preview-gateway/src/main.ts', import.meta.url).pathname

function startProgram(env: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  const listening = Promise.withResolvers<{ port: number; healthPort: number }>()
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line)
    const { message, port, healthPort } = JSON.parse(line)
    if (message === 'The preview gateway listens') listening.resolve({ port, healthPort })
  })
  return { child, lines, listening: listening.promise, exited: once(child, 'close') as Promise<[number | null]> }
}

const ask = (port: number, path: string, headers: Record<string, string> = {}) =>
  new Promise<{ status: number | undefined; headers: NodeJS.Dict<string | string[]>; body: string }>(
    (resolve, reject) => {
      get({ host: '127.0.0.1', port, path, headers, agent: false }, (answer) => {
        let body = ''
        answer.on('data', (piece) => {
          body += piece
        })
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }))
      }).on('error', reject)
    },
  )

describe('the program', () => {
  it('lets a member in to a preview that the directory knows, is healthy, and ends at SIGTERM with 0', async () => {
    const table = await startDirectoryTable()
    onTestFinished(() => table.close())
    const task = await startTask((_, response) => response.end('page'))
    const label = newPreviewLabel('workspace')
    await table.put(label, {
      teamId: TEAM,
      branch: 'workspace',
      environmentId: 'preview-1',
      status: 'running',
      address: '127.0.0.1',
      port: task.port,
      public: false,
    })
    const { child, lines, listening, exited } = startProgram(programEnv(table.url, SECRET, APP, DOMAIN))
    const { port, healthPort } = await listening
    expect((await ask(healthPort, '/health')).status).toBe(200)
    const host = `${label}.${DOMAIN}`
    const ticket = issueTicket(
      { label, teamId: TEAM, userId: 'ada', exp: Date.now() + 60_000, until: Date.now() + 60_000, id: newTicketId() },
      SECRET,
    )
    const entered = await ask(port, `/__covibes/enter/${ticket}/`, { host })
    expect(entered.status).toBe(303)
    const cookie = entered.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    expect((await ask(port, '/', { host, cookie })).body).toBe('page')
    expect((await ask(port, `/__covibes/enter/${ticket}/`, { host })).status).toBe(403)
    child.kill('SIGTERM')
    expect((await exited)[0]).toBe(0)
    expect(lines.join('\n')).not.toContain(ticket)
    expect(lines.join('\n')).not.toContain(SECRET)
  })

  it('says which variable is wrong, and ends with 1', async () => {
    const { lines, exited } = startProgram({ ...programEnv('http://127.0.0.1:1', 'short', APP, DOMAIN) })
    expect((await exited)[0]).toBe(1)
    expect(lines.join('\n')).toMatch(/could not start.*PREVIEW_SECRET/)
  })
})
