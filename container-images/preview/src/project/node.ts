import type { ProjectType } from '../../../../shared/contracts/preview-link.ts'
import { type PackageJson, readPackageJson } from './package-json.ts'
import { installPlan } from './package-manager.ts'
import { below, type Project, type ProjectFiles } from './types.ts'

/** A framework with a dev server of its own. */
type Framework = {
  readonly type: ProjectType
  /** A dependency on one of these tells it. */
  readonly packages: readonly string[]
  /** How its dev server is called in a script. */
  readonly invocation: RegExp
  /** The same when no script calls it. */
  readonly direct: string
  /** Appended, after flags that say the same were taken away. */
  readonly flags: string
  readonly ownFlags: RegExp
  readonly env: Readonly<Record<string, string>>
}

/** Its host and port come from `HOST` and `PORT`. */
const NO_FLAGS = /(?!)/
const HOST_AND_PORT = /\s(?:--port|--host)(?:[ =](?!-)\S+)?/g

/**
 * The gateway visits dev servers as `localhost` (ADR-060), so their checks of host and origin pass. What remains is where a page's
 * hot-reload client connects: Vite's and Next's clients go where their script came from; webpack-dev-server's is told so by port 0.
 */
const FRAMEWORKS: readonly Framework[] = [
  {
    type: 'next',
    packages: ['next'],
    invocation: /^next(?:\s+dev)?(?=\s|$)(?!\s+(?:build|start|export|lint|telemetry|info|typegen))/,
    direct: 'next dev',
    flags: '-H $HOST -p $PORT',
    ownFlags: /\s(?:-p|--port|-H|--hostname)(?:[ =]\S+)?/g,
    env: { NEXT_TELEMETRY_DISABLED: '1' },
  },
  {
    type: 'vite',
    packages: ['vite', '@sveltejs/kit'],
    invocation: /^vite(?=\s|$)(?!\s+(?:build|preview|optimize))/,
    direct: 'vite',
    flags: '--host $HOST --port $PORT --strictPort',
    ownFlags: /\s(?:--port|--host|--open|--strictPort)(?:[ =](?!-)\S+)?/g,
    env: {},
  },
  {
    type: 'vue-cli',
    packages: ['@vue/cli-service'],
    invocation: /^vue-cli-service\s+serve(?=\s|$)/,
    direct: 'vue-cli-service serve',
    flags: '--host $HOST --port $PORT',
    ownFlags: HOST_AND_PORT,
    // Its one way to say that the browser is to connect to where the page is from (checkInContainer in commands/serve.js).
    env: { CODESANDBOX_SSE: '1' },
  },
  {
    type: 'create-react-app',
    packages: ['react-scripts'],
    invocation: /^(?:react-scripts|craco|react-app-rewired)\s+start(?=\s|$)/,
    direct: 'react-scripts start',
    flags: '',
    ownFlags: NO_FLAGS,
    // Any host and port 0: the page's own. With `proxy` in package.json its host check breaks as soon as HOST is set.
    env: { WDS_SOCKET_HOST: '0.0.0.0', WDS_SOCKET_PORT: '0', DANGEROUSLY_DISABLE_HOST_CHECK: 'true' },
  },
]

/** In the order in which they are looked for. */
const DEV_SCRIPTS = ['dev', 'start', 'serve', 'develop'] as const

/** Assignments and wrappers before a command: `cross-env A=b npx next dev`. */
const PREFIX = /^(?:(?:cross-env|cross-env-shell|env|npx|dotenv\s+--)\s+|[A-Za-z_]\w*=\S*\s+)*/
/** More than one command, or a shell's own means. */
const COMPOUND = /[&|;<>()`$\n]/
/** Its process notices changed files by itself. */
const WATCHES = /--watch|\bnodemon\b|\btsx\s+watch\b|\bts-node-dev\b|\bwatchexec\b|\bpm2\b/

/** The Node project of a directory: one of the frameworks, or whatever its scripts run. Undefined when there is nothing to run. */
export function detectNode(files: ProjectFiles, directory: string, only?: ProjectType): Project | undefined {
  const manifest = readPackageJson(files, directory)
  if (!manifest) return undefined
  const install = installPlan(files, directory, manifest)
  const common = { directory, needsPython: false, ...(install ? { install } : {}) }
  for (const framework of FRAMEWORKS) {
    const named = framework.packages.find((name) => manifest.dependsOn(name))
    if (only === undefined ? named === undefined : only !== framework.type) continue
    return { ...common, type: framework.type, restartOnChange: false, ...frameworkRun(framework, manifest, named) }
  }
  if (only !== undefined && only !== 'node') return undefined
  const run = plainRun(files, directory, manifest)
  return run && { ...common, type: 'node', ...run }
}

type Run = Pick<Project, 'command' | 'reason' | 'env'>

function frameworkRun(framework: Framework, manifest: PackageJson, named: string | undefined): Run {
  const because = named === undefined ? `${framework.type} is asked for` : `${manifest.path} depends on ${named}`
  const scripts = DEV_SCRIPTS.map((name) => ({ name, text: manifest.script(name) }))
  for (const { name, text } of scripts) {
    const added = text === undefined ? undefined : withFlags(text, framework)
    if (added !== undefined)
      return {
        command: withHooks(manifest, name, added),
        reason: `${because}; its script "${name}"`,
        env: framework.env,
      }
  }
  // A script that starts more than the dev server, or another one on top of it, is taken as it is: variables say host and port.
  const bundled = manifest.script('dev')
  if (bundled !== undefined)
    return {
      command: withHooks(manifest, 'dev', bundled),
      reason: `${because}; its script "dev" as it is`,
      env: framework.env,
    }
  const command = `${framework.direct} ${framework.flags}`.trim()
  return { command, reason: `${because}; no script starts its dev server`, env: framework.env }
}

/** The script with the given host and port, when it is one call of the framework's dev server; undefined when it is not. */
function withFlags(script: string, { invocation, flags, ownFlags }: Framework): string | undefined {
  if (COMPOUND.test(script)) return undefined
  const prefix = PREFIX.exec(script)?.[0] ?? ''
  const call = script.slice(prefix.length)
  if (!invocation.test(call)) return undefined
  return `${prefix}${call.replace(ownFlags, '')} ${flags}`.trim()
}

function plainRun(
  files: ProjectFiles,
  directory: string,
  manifest: PackageJson,
): (Run & { restartOnChange: boolean }) | undefined {
  for (const name of ['dev', 'start'] as const) {
    const text = manifest.script(name)
    if (text === undefined) continue
    return {
      command: withHooks(manifest, name, text),
      reason: `${manifest.path} has a script "${name}"`,
      env: {},
      // By convention `dev` watches its sources and `start` does not; Node itself does so only when told to.
      restartOnChange: (name === 'start' || isBareNode(text)) && !WATCHES.test(text),
    }
  }
  const main = manifest.main?.replace(/^\.\//, '')
  if (main === undefined || main.includes('..') || !files.has(below(directory, main))) return undefined
  return {
    command: `node ${quote(main)}`,
    reason: `${manifest.path} names ${main} as its main file`,
    env: {},
    restartOnChange: true,
  }
}

const isBareNode = (script: string) => !COMPOUND.test(script) && /^node\s/.test(script.replace(PREFIX, ''))

/** As npm would: the script's `pre` script comes first. */
function withHooks(manifest: PackageJson, name: string, command: string): string {
  const before = manifest.script(`pre${name}`)
  return before === undefined ? command : `${before} && ${command}`
}

/** One word of a shell. */
export const quote = (word: string): string =>
  /^[\w./@:+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
