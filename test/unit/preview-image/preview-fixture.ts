import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PreviewProgram } from '../../../container-images/preview/src/preview-program.ts'
import type { PreviewTimings } from '../../../container-images/preview/src/preview-timings.ts'
import type { PreviewSettings } from '../../../container-images/preview/src/settings.ts'
import { FakeControlPlane, type FakeControlPlaneOptions } from '../common/fake-control-plane.ts'

/** Waits as short as a test on one machine can have them. */
export const QUICK: Partial<PreviewTimings> = {
  welcomeMs: 5_000,
  backoffMinMs: 2,
  backoffMaxMs: 20,
  closeMs: 1_000,
  minPauseMs: 30,
  maxPauseMs: 60,
  probeEveryMs: 30,
  elsewhereAfterMs: 500,
  pageWaitMs: 700,
  restartMinMs: 10,
  restartMaxMs: 40,
  graceMs: 2_000,
}

const directories: string[] = []
const running: { program: PreviewProgram; code: Promise<number>; plane: FakeControlPlane }[] = []

/** Programs are stopped, directories removed. */
export async function cleanUp(): Promise<void> {
  for (const { program, code, plane } of running.splice(0)) {
    program.stop()
    await code
    await plane.close()
  }
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
}

export async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'covibes-preview-'))
  directories.push(directory)
  return directory
}

/** Files by path; a path that ends in `/` is a directory. */
export type Tree = Readonly<Record<string, string>>

export async function writeTree(root: string, tree: Tree): Promise<void> {
  for (const [name, content] of Object.entries(tree)) {
    const place = path.join(root, name)
    await mkdir(name.endsWith('/') ? place : path.dirname(place), { recursive: true })
    if (!name.endsWith('/')) await writeFile(place, content)
  }
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('No port')
  return address.port
}

export type RunningPreview = {
  readonly program: PreviewProgram
  readonly plane: FakeControlPlane
  readonly settings: PreviewSettings
  /** The branch's working tree, which agents write. */
  readonly workspace: string
  readonly url: string
  readonly port: number
  readonly code: Promise<number>
  readonly logged: string[]
  /** Resolves with the report that is the first of this phase after those seen by earlier calls. */
  phase(phase: 'mirroring' | 'installing' | 'starting' | 'ready' | 'failed'): ReturnType<typeof nextReport>
}

type Reports = FakeControlPlane['previews']
async function nextReport(plane: FakeControlPlane, phase: string, seen: { count: number }): Promise<Reports[number]> {
  return plane.until(
    () => {
      const reports = plane.previews
      for (let at = seen.count; at < reports.length; at++)
        if (reports[at]?.phase === phase) {
          seen.count = at + 1
          return reports[at]
        }
      return undefined
    },
    `phase ${phase} after ${JSON.stringify(plane.previews.slice(-4))}`,
  )
}

/** Starts a preview of a working tree in this process, against a control plane of its own. `tree` undefined: there is none yet. */
export async function startPreview(
  tree: Tree | undefined,
  options: {
    readonly timings?: Partial<PreviewTimings>
    readonly plane?: FakeControlPlaneOptions
    readonly settings?: Partial<PreviewSettings>
    /** A directory whose content is the working tree, in the place of `tree`. */
    readonly from?: string
  } = {},
): Promise<RunningPreview> {
  const root = await makeDirectory()
  const port = await freePort()
  const plane = await FakeControlPlane.start({ preview: { branch: 'workspace', port }, ...options.plane })
  const workspace = path.join(root, 'shared', 'workspace')
  await mkdir(path.join(root, 'shared'), { recursive: true })
  await mkdir(path.join(root, 'home'))
  await mkdir(path.join(root, 'cache'))
  if (options.from !== undefined) await cp(options.from, workspace, { recursive: true })
  else if (tree) {
    await mkdir(workspace)
    await writeTree(workspace, tree)
  }
  const settings: PreviewSettings = {
    environment: 'team-1/record-1/1',
    ticket: 'ticket',
    linkUrl: plane.url,
    shared: path.join(root, 'shared'),
    disk: path.join(root, 'disk'),
    cache: path.join(root, 'cache'),
    machine: process.env.NODE_EXTRA_CA_CERTS ? { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS } : {},
    port: 0,
    host: '127.0.0.1',
    home: path.join(root, 'home'),
    path: `${path.dirname(process.execPath)}:${process.env.PATH ?? '/usr/bin:/bin'}`,
    ...options.settings,
  }
  const logged: string[] = []
  const program = new PreviewProgram({
    settings,
    log: (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    timings: { ...QUICK, ...options.timings },
  })
  const code = program.run()
  running.push({ program, code, plane })
  const seen = { count: 0 }
  return {
    program,
    plane,
    settings,
    workspace,
    port,
    url: `http://127.0.0.1:${port}`,
    code,
    logged,
    phase: (phase) => nextReport(plane, phase, seen),
  }
}

/** Asks until the answer is the one that is waited for: there is no event for what a dev server serves. */
export async function untilServed(url: string, look: (body: string, response: Response) => boolean): Promise<string> {
  let last = 'nothing'
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; ) {
    const response = await fetch(url).catch((error: Error) => error)
    if (response instanceof Response) {
      last = await response.text()
      if (look(last, response)) return last
    }
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  throw new Error(`${url} never served what was waited for; last: ${last.slice(0, 500)}`)
}
