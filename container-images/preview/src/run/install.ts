import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { quote } from '../project/node.ts'
import type { InstallPlan, PackageTool, Project, ProjectFiles } from '../project/types.ts'
import { childEnvironment, type Surroundings } from './environment.ts'
import { Session } from './session.ts'

/** Reads a pyproject.toml and prints its dependencies as pip takes them. */
const PYPROJECT = fileURLToPath(new URL('./pyproject.py', import.meta.url))

export type InstallOutcome = { readonly installed: true } | { readonly installed: false; readonly reason: string }

export type InstallOptions = {
  readonly project: Project
  readonly files: ProjectFiles
  /** Paths of all package.json files of the tree. */
  readonly manifests: readonly string[]
  readonly surroundings: Surroundings
  readonly output: (bytes: Buffer) => void
  readonly signal: AbortSignal
  /** Milliseconds for all of it. */
  readonly limitMs: number
  readonly graceMs: number
}

/** What decides what is installed, as one text: the same key means that nothing is to be done. */
export function installKey(project: Project, files: ProjectFiles, manifests: readonly string[]): string | undefined {
  const { install } = project
  if (!install && !project.needsPython) return undefined
  const hash = createHash('sha256')
  hash.update(JSON.stringify([install ?? null, process.version, process.arch]))
  const inputs = new Set(install ? [...install.inputs, ...manifests] : [])
  for (const name of [...inputs].sort()) hash.update(JSON.stringify([name, relevant(name, files.read(name)) ?? null]))
  return hash.digest('hex')
}

/** Fields of a package.json that have to do with what is installed. */
const INSTALL_FIELDS = [
  'name',
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'peerDependencies',
  'overrides',
  'resolutions',
  'pnpm',
  'workspaces',
  'packageManager',
]
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare']

function relevant(name: string, text: string | undefined): unknown {
  if (text === undefined || !/(?:^|\/)package\.json$/.test(name)) return text
  try {
    const manifest = JSON.parse(text) as Record<string, unknown>
    const scripts = (manifest.scripts ?? {}) as Record<string, unknown>
    return [INSTALL_FIELDS.map((field) => manifest[field]), INSTALL_SCRIPTS.map((script) => scripts[script])]
  } catch {
    return text
  }
}

/** Whether what is installed is what the tree asks for now. */
export async function isInstalled(key: string, { install }: Project, { places }: Surroundings): Promise<boolean> {
  if (install?.product !== undefined && !existsSync(path.join(places.tree, install.product))) return false
  const last = await readFile(places.installed, 'utf8').catch(() => undefined)
  return last === key
}

/** Installs what the project needs. Ends early, with any outcome, when `signal` aborts. */
export async function install(key: string, options: InstallOptions): Promise<InstallOutcome> {
  const { project, surroundings } = options
  const { places } = surroundings
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(options.limitMs)])
  const before = await readFile(places.installed, 'utf8').catch(() => undefined)
  await rm(places.installed, { force: true })
  await mkdir(places.cache, { recursive: true })
  await mkdir(places.scratch, { recursive: true })
  if (project.needsPython) {
    const problem = await prepareVenv(options, deadline)
    if (problem !== undefined) return { installed: false, reason: problem }
  }
  if (project.install?.tool) await writeTool(places.tools, places.cache, project.install.tool)
  const failure = project.install && (await tryAll(project.install, before !== undefined, options, deadline))
  if (failure !== undefined) return { installed: false, reason: failure }
  await writeFile(places.installed, key)
  return { installed: true }
}

/** Undefined, or why none of the plan's commands succeeded. */
async function tryAll(
  plan: InstallPlan,
  again: boolean,
  options: InstallOptions,
  deadline: AbortSignal,
): Promise<string | undefined> {
  const isThere =
    again && plan.product !== undefined && existsSync(path.join(options.surroundings.places.tree, plan.product))
  let failure = 'There is nothing to install with'
  for (const command of isThere ? plan.again : plan.attempts) {
    const code = await runCommand(command, plan.directory, options, deadline)
    if (code === 0) return undefined
    failure = deadline.aborted
      ? `${command} was not done within ${Math.round(options.limitMs / 60_000)} minutes`
      : `${command} failed with code ${code}`
    if (deadline.aborted) break
  }
  return failure
}

async function runCommand(
  command: string,
  directory: string,
  { project, surroundings, output, graceMs }: InstallOptions,
  deadline: AbortSignal,
): Promise<number> {
  if (deadline.aborted) return 1
  output(Buffer.from(`$ ${command}\n`))
  const { places } = surroundings
  const session = new Session({
    command,
    cwd: path.join(places.tree, directory),
    env: {
      ...childEnvironment(project, surroundings),
      COVIBES_PYPROJECT: PYPROJECT,
      COVIBES_SCRATCH: places.scratch,
    },
    output,
  })
  const aborted = new Promise<'aborted'>((resolve) => deadline.addEventListener('abort', () => resolve('aborted')))
  const end = await Promise.race([session.ended, aborted])
  await session.end(graceMs)
  return end === 'aborted' ? 1 : (end.code ?? 1)
}

/** Undefined when there is an environment of the project's own to install into; else what is missing on this machine. */
async function prepareVenv(options: InstallOptions, deadline: AbortSignal): Promise<string | undefined> {
  const { places } = options.surroundings
  if (existsSync(path.join(places.venv, 'bin/python'))) return undefined
  if ((await runQuietly('command -v python3', options)) !== 0)
    return 'This is a Python project, and there is no python3 on this machine: install Python 3 (with venv) to preview it'
  if ((await runQuietly('python3 -c "import venv, ensurepip"', options)) !== 0)
    return 'This is a Python project, and python3 has no venv on this machine: install it (Debian: python3-venv) to preview it'
  await rm(places.venv, { recursive: true, force: true })
  const code = await runCommand(`python3 -m venv ${JSON.stringify(places.venv)}`, '', options, deadline)
  return code === 0 ? undefined : `python3 -m venv failed with code ${code}`
}

async function runQuietly(command: string, { project, surroundings, graceMs }: InstallOptions): Promise<number> {
  const session = new Session({
    command,
    cwd: surroundings.places.tree,
    env: childEnvironment(project, surroundings),
    output: () => undefined,
  })
  const { code } = await session.ended
  await session.end(graceMs)
  return code ?? 1
}

/** A command of that name which npm fetches when it is first called, and finds in its cache ever after. */
async function writeTool(directory: string, cache: string, tool: PackageTool): Promise<void> {
  await mkdir(directory, { recursive: true })
  // Yarn takes its cache from variables; npm warns of pnpm's.
  const store = tool.name === 'pnpm' ? [`--config.store-dir=${path.join(cache, 'pnpm')}`] : []
  const call = ['npm', 'exec', '--yes', `--package=${tool.package}`, '--', tool.name, ...store].map(quote)
  const script = `#!/bin/sh\nexec ${call.join(' ')} "$@"\n`
  await writeFile(path.join(directory, tool.name), script, { mode: 0o755 })
}
