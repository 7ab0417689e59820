/**
 * Two agents in the workspace, one of whom uses git there, and a human with a clone work at once while sync is killed again and again.
 * Whatever stood in the workspace when a round began, and whatever anybody committed, must at the end be on some branch of the remote, or
 * in the workspace. `SYNC_ROUNDS=2000 SYNC_SEED=7` for more of it; the seed stands in each failure.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import type { SyncReport } from '../../shared/contracts/link.ts'
import { git, Team } from '../unit/workspace-sync/git/support.ts'
import type { SyncAnswer, SyncOrder } from '../unit/workspace-sync/git/sync-process.ts'

const ROUNDS = Number(process.env.SYNC_ROUNDS ?? 200)
const SEED = Number(process.env.SYNC_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    below: (n: number) => Math.floor(next() * n),
    chance: (p: number) => next() < p,
    pick: <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T,
  }
}
type Random = ReturnType<typeof randomOf>

const NAMES = [
  'README.md',
  'src/a.ts',
  'src/b.ts',
  'src/deep/er/c.ts',
  'docs/é ü.md',
  'docs/日本語.txt',
  'line\nbreak.txt',
  ' leading space',
  '-rf',
  'swap',
  'swap/inner',
  'swap/inner/most',
  'data.bin',
  'run.sh',
  'package.json',
  '.gitattributes',
  '.hidden/x',
]

class SyncProcess {
  readonly #team: Team
  #child: ChildProcess | undefined
  report: SyncReport | undefined
  kills = 0

  constructor(team: Team) {
    this.#team = team
  }

  start(): void {
    this.#child = fork(
      path.join(import.meta.dirname, '../unit/workspace-sync/git/sync-process.ts'),
      [this.#team.root, `file://${this.#team.remote}`],
      { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] },
    )
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#team.log.push(text))
  }

  /** Undefined when the process was killed before it answered. Rejects when it has ended by itself. */
  tell(order: SyncOrder): Promise<SyncAnswer | undefined> {
    const child = this.#child
    return new Promise((resolve, reject) => {
      const ended = () => {
        if (child?.signalCode === 'SIGKILL') resolve(undefined)
        else reject(new Error(`Sync ended by itself: ${this.#team.log.slice(-3).join('')}`))
      }
      if (!child || child.exitCode !== null || child.signalCode !== null) return ended()
      child.once('exit', ended)
      child.once('message', (answer: SyncAnswer) => {
        child.removeListener('exit', ended)
        this.report = answer.report ?? this.report
        resolve(answer)
      })
      child.send(order, () => {})
    })
  }

  kill(): void {
    this.kills++
    this.#child?.kill('SIGKILL')
  }

  end(): void {
    this.#child?.removeAllListeners()
    this.#child?.kill('SIGKILL')
  }
}

let team: Team | undefined
let sync: SyncProcess | undefined
afterEach(() => {
  sync?.end()
  team?.end()
})

const oidOf = (content: Buffer) => createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

/** Every file of a tree that is not ignored, as git would name its content. */
function contents(folder: string, below = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const name of readdirSync(path.join(folder, below))) {
    const file = path.join(below, name)
    if (file === '.git' || file === 'ignored') continue
    const stats = lstatSync(path.join(folder, file))
    if (stats.isDirectory()) for (const [inner, oid] of contents(folder, file)) found.set(inner, oid)
    else if (stats.isSymbolicLink()) found.set(file, oidOf(Buffer.from(readlinkSync(path.join(folder, file)))))
    else found.set(file, oidOf(readFileSync(path.join(folder, file))))
  }
  return found
}

/** One random change of a working tree, as an editor or a tool would make it. */
function edit(folder: string, who: string, random: Random, step: number): unknown {
  const name = random.pick(NAMES)
  const file = path.join(folder, name)
  const text = `${who} ${step}\n`
  try {
    // Writing goes to files of this tree only.
    if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() && random.chance(0.8)) rmSync(file)
    switch (random.below(9)) {
      case 0:
      case 1: {
        mkdirSync(path.dirname(file), { recursive: true })
        return writeFileSync(file, `${text}${'line\n'.repeat(random.below(30))}`)
      }
      case 2: {
        // Lines of a file that all may change: sometimes they merge, sometimes not.
        const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
        lines.splice(random.below(lines.length + 1), random.below(2), text.trim())
        return writeFileSync(file, lines.join('\n'))
      }
      case 3:
        return rmSync(file, { recursive: random.chance(0.3), force: true })
      case 4: {
        const target = path.join(folder, random.pick(NAMES))
        mkdirSync(path.dirname(target), { recursive: true })
        return renameSync(file, target)
      }
      case 5:
        return writeFileSync(file, Buffer.from([0, random.below(256), 255, ...Buffer.from(text)]))
      case 6:
        return chmodSync(file, random.chance(0.5) ? 0o755 : 0o644)
      case 7: {
        rmSync(file, { recursive: true, force: true })
        return symlinkSync(random.pick(['src/a.ts', 'nowhere', `${who}-${step}`]), file)
      }
      default: {
        // As editors that save by renaming do.
        writeFileSync(path.join(folder, `.${who}.tmp`), text)
        mkdirSync(path.dirname(file), { recursive: true })
        return renameSync(path.join(folder, `.${who}.tmp`), file)
      }
    }
  } catch {
    // A directory stands where a file was to be, or the other way round, or a link points nowhere.
    return rmSync(path.join(folder, `.${who}.tmp`), { force: true })
  }
}

/** git that may fail, because another git is at work or there is nothing to do. Whether it did not. */
function tryGit(folder: string, ...args: string[]): boolean {
  try {
    git(folder, ...args)
    if (process.env.SYNC_TRACE) console.log(path.basename(folder), args.join(' '))
    return true
  } catch {
    return false
  }
}

it(`loses nothing in ${ROUNDS} rounds (SYNC_SEED=${SEED})`, { timeout: 120_000 + ROUNDS * 2000 }, async () => {
  const random = randomOf(SEED)
  team = new Team().withRemote({ 'README.md': 'readme\n', '.gitignore': 'ignored/\n', 'src/a.ts': 'a\n'.repeat(20) })
  const { human, workspace, remote } = team
  sync = new SyncProcess(team)
  /** Names of contents that must not be lost, with where each was last seen. */
  const must = new Map<string, string>()
  const remember = (where: string, found: ReadonlyMap<string, string>) => {
    for (const [file, oid] of found) must.set(oid, `${where}: ${JSON.stringify(file)}`)
  }
  const committed = (folder: string, where: string) => {
    const listed = git(folder, 'ls-tree', '-r', '-z', 'HEAD').split('\0').filter(Boolean)
    remember(where, new Map(listed.map((line) => [line.split('\t')[1] ?? '', line.split(/[ \t]/)[2] ?? ''])))
  }
  const ignored = new Map<string, string>()
  let step = 0
  let rewrites = 0

  const agentsAct = async (round: number) => {
    for (let n = 1 + random.below(6); n > 0; n--) edit(workspace, 'writer', random, ++step)
    await sleep(random.below(30))
    for (let n = random.below(5); n > 0; n--) edit(workspace, 'committer', random, ++step)
    if (random.chance(0.1)) {
      const name = `ignored/${random.below(5)}`
      mkdirSync(path.join(workspace, 'ignored'), { recursive: true })
      writeFileSync(path.join(workspace, name), `secret ${++step}`)
      ignored.set(name, `secret ${step}`)
    }
    if (
      random.chance(0.3) &&
      tryGit(workspace, 'add', '--all') &&
      tryGit(workspace, 'commit', '-q', '-m', `agent ${round}`)
    )
      committed(workspace, `commit of an agent in round ${round}`)
    if (random.chance(0.05)) tryGit(workspace, 'switch', '-q', random.pick(['main', 'main', 'feature']))
    if (random.chance(0.03)) tryGit(workspace, 'switch', '-q', '-c', 'feature')
    if (random.chance(0.02)) tryGit(workspace, 'switch', '-q', '--detach')
    if (random.chance(0.1)) tryGit(workspace, 'switch', '-q', 'main')
  }
  const humanActs = async (round: number) => {
    for (let n = random.below(4); n > 0; n--) edit(human, 'human', random, ++step)
    git(human, 'add', '--all')
    tryGit(human, 'commit', '-q', '-m', `human ${round}`)
    committed(human, `commit of the human in round ${round}`)
    await sleep(random.below(20))
    pushAsHuman(human)
  }
  /** What was pushed has been seen by sync, and is pushed otherwise now. */
  const humanRewrites = async (round: number) => {
    edit(human, 'human', random, ++step)
    git(human, 'add', '--all')
    git(human, 'commit', '-q', '--allow-empty', '--amend', '-m', `rewritten in round ${round}`)
    committed(human, `rewritten commit of the human in round ${round}`)
    if (tryGit(human, 'push', '-q', '--force-with-lease', 'origin', 'HEAD:main')) rewrites++
  }
  const restart = async () => {
    sync?.start()
    for (let tries = 0; tries < 5; tries++) {
      const answer = await sync?.tell('prepare')
      if (answer && answer.error === undefined) return
    }
    throw new Error(`It could not be prepared: ${team?.log.slice(-3).join('')}`)
  }
  /** A round that may be killed in the middle. */
  const mayBeKilled = async (probability: number) => {
    const answered = sync?.tell('round').then((answer) => answer !== undefined)
    const kills = random.chance(probability)
    if (kills) {
      await Promise.race([sleep(random.below(500)), answered])
      sync?.kill()
    }
    if (!(await answered) || kills) await restart()
  }

  await restart()
  for (let round = 1; round <= ROUNDS; round++) {
    if (process.env.SYNC_TRACE) console.log('round', round, sync.report)
    if (round % 2 === 1) {
      await Promise.all([mayBeKilled(0.12), agentsAct(round), random.chance(0.6) ? humanActs(round) : undefined])
      continue
    }
    // Nobody writes in the workspace: what is there when this round begins must be kept.
    remember(`the workspace in round ${round}`, contents(workspace))
    await mayBeKilled(0.12)
    await sync.tell('round')
    if (random.chance(0.2)) {
      pushAsHuman(human)
      await sync.tell('round')
      await humanRewrites(round)
    }
  }

  // Everybody comes to rest on main.
  for (
    let tries = 0;
    tries < 10 && !/refs\/heads\/main$/m.test(readFileSync(path.join(workspace, '.git/HEAD'), 'utf8'));
    tries++
  ) {
    git(workspace, 'add', '--all')
    tryGit(workspace, 'commit', '-q', '-m', 'last')
    tryGit(workspace, 'switch', '-q', 'main')
  }
  for (let tries = 0; tries < 5; tries++) {
    pushAsHuman(human)
    await sync.tell('round')
  }
  await sync.tell('finish')

  const where = `SYNC_SEED=${SEED} SYNC_ROUNDS=${ROUNDS}; ${JSON.stringify(sync.report)}; ${team.log.slice(-5).join('')}`
  const reachable = new Set(
    git(remote, 'rev-list', '--objects', '--branches')
      .split('\n')
      .map((line) => line.slice(0, 40)),
  )
  const here = contents(workspace)
  for (const oid of here.values()) reachable.add(oid)
  const lost = [...must].filter(([oid]) => !reachable.has(oid)).map(([oid, seen]) => `${oid} ${seen}`)
  expect(lost, where).toEqual([])
  expect(must.size, where).toBeGreaterThan(ROUNDS)
  for (const [name, text] of ignored) expect(readFileSync(path.join(workspace, name), 'utf8'), where).toBe(text)
  // And all agree.
  const atRemote = git(remote, 'ls-tree', '-r', '-z', 'main').split('\0').filter(Boolean)
  expect(
    new Map(atRemote.map((line) => [line.slice(line.indexOf('\t') + 1), line.split(/[ \t]/)[2] ?? ''])),
    where,
  ).toEqual(here)
  expect(sync.report?.state, where).toBe('synced')
  expect(git(workspace, 'status', '--porcelain'), where).toBe('')
  console.log(
    `${must.size} contents kept, ${sync.kills} kills, ${rewrites} rewritten histories, ${team.rescues().length} rescue branches`,
  )
})

function pushAsHuman(human: string): void {
  git(human, 'fetch', '-q', 'origin')
  if (!tryGit(human, 'merge', '-q', '--no-edit', '-X', 'ours', 'origin/main')) {
    tryGit(human, 'merge', '--abort')
    git(human, 'merge', '-q', '--no-edit', '-s', 'ours', 'origin/main')
  }
  tryGit(human, 'push', '-q', 'origin', 'HEAD:main')
}
