/**
 * `npm run try -- "task"`: spawns an agent on a running control plane and shows its terminal in yours, as a user of the API
 * would. What you type goes to the agent; Ctrl-] leaves it running and ends the command.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { io, type Socket } from 'socket.io-client'
import * as z from 'zod'
import { SpawnAgentAnswerSchema } from '../shared/contracts/agents.ts'
import { serverEvents } from '../shared/contracts/socket-events.ts'

const USAGE = `npm run try -- [options] "task"
  --mock         the mock agent instead of claude (task: "echo, exit N, sleep S, flood BYTES, write PATH TEXT", joined by ;)
  --url URL      default: the control plane that npm start runs
  --token JWT    default: the token that npm start printed
Without a task the session is interactive. Ctrl-] leaves.`

const LEAVE = '\u001d'
const DevSchema = z.object({ url: z.url(), token: z.string().min(1) })

function settings() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      mock: { type: 'boolean', default: false },
      url: { type: 'string' },
      token: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const task = positionals.join(' ')
  const agentType = values.mock ? ('mock' as const) : ('claude' as const)
  if (values.url && values.token) return { url: values.url, token: values.token, task, agentType }
  const file = join(import.meta.dirname, '..', '.local', 'dev.json')
  try {
    const dev = DevSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
    return { url: values.url ?? dev.url, token: values.token ?? dev.token, task, agentType }
  } catch {
    throw new Error('No control plane found: run `npm start` first, or give --url and --token.')
  }
}

async function spawn({ url, token, task, agentType }: ReturnType<typeof settings>) {
  const response = await fetch(new URL('/api/agents/spawn', url), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ task, agentType }),
  })
  const answer: unknown = await response.json()
  if (response.ok) return SpawnAgentAnswerSchema.parse(answer)
  const refused = z.object({ message: z.string() }).safeParse(answer)
  throw new Error(`The spawn was refused (${response.status}): ${refused.data?.message ?? 'no reason given'}`)
}

/** Milliseconds without output after which an ended agent's terminal counts as shown. */
const QUIET_MS = 300

/** Ends with the agent's exit code, 0 when you left it running, 1 when it did not end by itself. */
function follow(socket: Socket, agentId: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let lastOutput = performance.now()
    const say = (text: string) => process.stderr.write(`\r\n\u001b[2m${text}\u001b[0m\r\n`)
    const finish = (code: number) => {
      if (performance.now() - lastOutput > QUIET_MS) resolve(code)
      else setTimeout(finish, QUIET_MS, code)
    }
    socket.on('disconnect', () => !socket.active && reject(new Error('The control plane closed the connection')))
    socket.on('terminal_data', (payload) => {
      lastOutput = performance.now()
      process.stdout.write(serverEvents.terminal_data.parse(payload).data)
    })
    socket.on('terminal_error', (payload) => say(serverEvents.terminal_error.parse(payload).error))
    socket.on('agent-status', (payload) => {
      const event = serverEvents['agent-status'].parse(payload)
      if (event.agentId !== agentId) return
      say(`agent is ${event.status}${event.message ? `: ${event.message}` : ''}`)
      if (event.status === 'running' || event.status === 'starting') return
      lastOutput = performance.now()
      finish(event.exitCode ?? 1)
    })
    socket.emit('terminal_connect', { agentId })

    const sendSize = () => {
      const { columns, rows } = process.stdout
      if (columns && rows) socket.emit('terminal_resize', { agentId, cols: columns, rows })
    }
    sendSize()
    process.stdout.on('resize', sendSize)
    process.stdin.on('data', (bytes) => {
      const data = bytes.toString()
      if (data.includes(LEAVE)) resolve(0)
      else socket.emit('terminal_input', { type: 'input', agentId, data })
    })
  })
}

function joinTeam(socket: Socket, token: string): Promise<void> {
  const { teamId } = z
    .object({ teamId: z.string() })
    .parse(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()))
  return new Promise((resolve, reject) => {
    socket.on('connect', () => socket.emit('join-team', { teamId, token }))
    socket.on(
      'connect_error',
      (error) => !socket.active && reject(new Error(`The socket was refused: ${error.message}`)),
    )
    socket.once('error', (payload) => reject(new Error(serverEvents.error.parse(payload).message)))
    socket.once('team-joined', () => resolve())
  })
}

async function main(): Promise<number> {
  const options = settings()
  const socket = io(options.url, { auth: { token: options.token }, transports: ['polling', 'websocket'] })
  try {
    await joinTeam(socket, options.token)
    const { agent, method } = await spawn(options)
    console.error(`agent ${agent.id} (${agent.agentName}) on ${method}; Ctrl-] leaves it running`)
    if (process.stdin.isTTY) process.stdin.setRawMode(true)
    return await follow(socket, agent.id)
  } finally {
    if (process.stdin.isTTY) process.stdin.setRawMode(false)
    socket.disconnect()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
process.exit()
