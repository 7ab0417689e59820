/**
 * `npm run load`: a thousand sockets of a hundred teams for two minutes, with agents that write and agents that come and go.
 * Ends with 1 when a byte or an event was lost, doubled, out of order or given to another team, or when memory grew.
 *
 *   npm run load -- --teams 100 --sockets 10 --seconds 120 --every 40 --lives 8
 *
 * `--every`: seconds between two outputs of one agent; `--lives`: seconds between two short-lived agents of all teams. An output
 * is one delivery for each of its team's sockets, and this machine carries the control plane, AWS and the clients at once:
 * the defaults make 25 deliveries of output and 2.5 of events a second, pings and their answers beside them, which two cores carry with some to spare.
 */
import { rmSync } from 'node:fs'
import os from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { TIMINGS } from '../../container-images/agent/src/timings.ts'
import setup from '../support/global-setup.ts'
import { startProduct } from '../support/product.ts'
import { Tickets } from './fake-container.ts'
import { ledgerOf } from './ledger-of.ts'
import { MemoryAccount } from './memory.ts'
import { inTurns } from './raw-socket.ts'
import { SyncTasks } from './sync-tasks.ts'
import { WatchedTeam } from './watched-team.ts'

/** Teams that are set up at once; more would only make more cold starts. */
const SET_UP_AT_ONCE = 4
/** Bytes of one output: from a line to a screen. */
const OUTPUT_BYTES = { min: 80, max: 4_000 }
/** Seconds under load before memory is first read: functions, caches and pools have then their size. */
const WARM_UP_SECONDS = 30
/** Milliseconds after the last output for everything to arrive: more than a period of the outbox sweep. */
const SETTLE_MS = 150_000
const MAX_VIOLATIONS = 20

const { values } = parseArgs({
  options: {
    teams: { type: 'string', default: '100' },
    sockets: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '120' },
    every: { type: 'string', default: '40' },
    lives: { type: 'string', default: '8' },
  },
})
const numberOf = (name: keyof typeof values): number => {
  const value = Number(values[name])
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0`)
  return value
}
const options = {
  teams: numberOf('teams'),
  sockets: numberOf('sockets'),
  seconds: numberOf('seconds'),
  everyMs: numberOf('every') * 1000,
  livesMs: numberOf('lives') * 1000,
}

const violations: string[] = []
const violation = (text: string): void => {
  if (violations.push(text) <= MAX_VIOLATIONS) console.error(`VIOLATION ${text}`)
}
const since = (start: number): string => `${((performance.now() - start) / 1000).toFixed(1)} s`

setup()
const tickets = new Tickets()
const faults = new Map<string, number>()
const syncTasks = new SyncTasks()
const product = await startProduct({
  onTraffic(where, content) {
    tickets.observe(where, content)
    syncTasks.observe(where, content)
  },
  onLog: countFaults,
})
syncTasks.attach(product.runtime)
const teams: WatchedTeam[] = []
try {
  await run()
} finally {
  // Not closed: a thousand disconnects at once would show nothing more, and no task runs as a process.
  rmSync(product.stateDir, { recursive: true, force: true })
}
for (const [fault, times] of faults) console.log(`logged ${times} times: ${fault}`)
console.log(violations.length === 0 ? '\nNo violation.' : `\n${violations.length} violations.`)
process.exit(violations.length === 0 ? 0 : 1)

async function run(): Promise<void> {
  console.log(`${os.cpus().length} × ${os.cpus()[0]?.model.trim()}, Node ${process.version}`)
  product.runtime.faults.start.add({ kind: 'stay' })
  const startedAt = performance.now()
  await inTurns(options.teams, SET_UP_AT_ONCE, async (n) => {
    const name = `team-${String(n).padStart(4, '0')}`
    teams.push(await WatchedTeam.start({ name, sockets: options.sockets, product, tickets, violation }))
  })
  const { resumes: early } = reconnections()
  console.log(
    `${options.teams} teams with ${options.teams * options.sockets} sockets in ${since(startedAt)}, ${early} resumed`,
  )

  const memory = new MemoryAccount(product.runtime)
  const [warm, whole] = [new AbortController(), new AbortController()]
  setTimeout(() => warm.abort(), Math.min(WARM_UP_SECONDS, options.seconds / 2) * 1000)
  setTimeout(() => whole.abort(), options.seconds * 1000)
  warm.signal.addEventListener('abort', () => memory.begin())
  const loadAt = performance.now()
  const [{ lives, refused }] = await Promise.all([
    bearAndBury(whole.signal),
    ...teams.map((team) => writeOn(team, whole.signal)),
  ])
  for (const problem of memory.end()) violation(problem)
  console.log(`load for ${since(loadAt)}: ${memory}`)

  const drainedAt = performance.now()
  const problems = await settled()
  const bytes = teams.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0)
  console.log(`everything arrived ${since(drainedAt)} after the last output`)
  console.log(
    `${bytes} bytes written, each seen by ${options.sockets} sockets; ${lives} short-lived agents, ${refused} requests refused`,
  )
  console.log(`${problems.events} team events, each told to ${options.sockets} sockets`)
  const { resumes, links } = reconnections()
  console.log(`${resumes - early} times a socket resumed, ${links} times a link reconnected`)
  for (const problem of problems.found) violation(problem)
}

/** What functions log as an error, by its message and the error's own. */
function countFaults(source: string, line: string): void {
  if (!line.includes('"level":"ERROR"')) return
  const { message, error } = JSON.parse(line) as { message?: string; error?: { name?: string; message?: string } }
  const fault = `${source}: ${message}: ${error?.name} ${error?.message?.slice(0, 200)}`
  if (faults.has(fault) || faults.size < MAX_VIOLATIONS) faults.set(fault, (faults.get(fault) ?? 0) + 1)
}

function reconnections(): { resumes: number; links: number } {
  const resumes = teams.flatMap(({ viewers }) => viewers).reduce((sum, { socket }) => sum + socket.resumes, 0)
  return { resumes, links: teams.reduce((sum, { container }) => sum + container.reconnects, 0) }
}

/** Outputs at random times, one in `everyMs` on average. */
async function writeOn(team: WatchedTeam, signal: AbortSignal): Promise<void> {
  for (;;) {
    await pause(Math.random() * 2 * options.everyMs, signal)
    if (signal.aborted) return
    const { min, max } = OUTPUT_BYTES
    team.write(Math.round(min + Math.random() ** 3 * (max - min)))
  }
}

/** Short-lived agents, team after team; answers how many, and how often a request was refused for the moment. */
async function bearAndBury(signal: AbortSignal): Promise<{ lives: number; refused: number }> {
  for (let lives = 0, refused = 0; ; ) {
    await pause(options.livesMs, signal)
    if (signal.aborted) return { lives, refused }
    if (await teams[(lives + refused) % teams.length]?.spawnAndDelete()) lives++
    else refused++
  }
}

/** Ends early when the signal says so. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return delay(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}

/** Waits until all bytes and all events have arrived, or for `SETTLE_MS`, and answers what is then missing. */
async function settled(): Promise<{ events: number; found: string[] }> {
  const ledger = ledgerOf(product)
  // Under load they leave it out: it is a tenth of what two cores carry.
  const sayHealthy = () => {
    for (const { container } of teams) container.sayHealthy()
  }
  setInterval(sayHealthy, TIMINGS.healthEveryMs).unref()
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const accounts = await inTurns(teams.length, 8, async (n) => teams[n]?.account(ledger))
    const unseen = teams.filter((team) => !team.isSeenByAll).map(({ name }) => `${name}: output is missing`)
    const found = [...unseen, ...accounts.flatMap((account) => account?.problems ?? [])]
    const events = accounts.reduce((sum, account) => sum + (account?.events ?? 0), 0)
    if (found.length === 0 || performance.now() > until) return { events, found }
    await delay(1_000)
  }
}
