import path from 'node:path'
import { directoriesUpwards } from '../project/package-manager.ts'
import type { Project } from '../project/types.ts'

/** Where a preview's own files are. */
export type Places = {
  /** The copy of the working tree. */
  readonly tree: string
  readonly staging: string
  readonly venv: string
  /** Package managers that are fetched when first called. */
  readonly tools: string
  readonly scratch: string
  /** What was installed last. */
  readonly installed: string
  /** Package managers' caches; beside `tree`, so that pnpm can link from them. */
  readonly cache: string
}

export function placesOf(disk: string): Places {
  return {
    tree: path.join(disk, 'tree'),
    staging: path.join(disk, 'staging'),
    venv: path.join(disk, 'venv'),
    tools: path.join(disk, 'tools'),
    scratch: path.join(disk, 'scratch'),
    installed: path.join(disk, 'installed.json'),
    cache: path.join(disk, 'cache'),
  }
}

export type Surroundings = {
  readonly places: Places
  readonly home: string
  readonly path: string
  /** Those of `NETWORK_VARIABLES` that are set. */
  readonly machine: Readonly<Record<string, string>>
  readonly host: string
  readonly port: number
}

/**
 * The whole environment of a project's commands, made from nothing: neither the ticket nor ECS's metadata and credential addresses can be
 * in it. What the repository sets comes last, but where the port is, is not its to say.
 */
export function childEnvironment(project: Project, { places, home, path: base, machine, host, port }: Surroundings) {
  const bins = directoriesUpwards(project.directory).map((up) => path.join(places.tree, up, 'node_modules/.bin'))
  const cache = (name: string) => path.join(places.cache, name)
  const env: Record<string, string> = {
    ...machine,
    HOME: home,
    LANG: 'C.UTF-8',
    NODE_ENV: 'development',
    BROWSER: 'none',
    npm_config_cache: cache('npm'),
    npm_config_update_notifier: 'false',
    npm_config_fund: 'false',
    npm_config_audit: 'false',
    npm_config_progress: 'false',
    YARN_CACHE_FOLDER: cache('yarn'),
    // Yarn 4 does not look at its cache folder and has one in this (yarnpkg/berry#6302); Yarn 2 and 3 would keep all of it there again.
    YARN_GLOBAL_FOLDER: cache('yarn-global'),
    YARN_ENABLE_MIRROR: '0',
    // Without it Yarn's own loader stands between Node and the packages, and commands outside `yarn run` find none.
    YARN_NODE_LINKER: 'node-modules',
    YARN_ENABLE_TELEMETRY: '0',
    PIP_CACHE_DIR: cache('pip'),
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PYTHONUNBUFFERED: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    ...(project.needsPython ? { VIRTUAL_ENV: places.venv } : {}),
    ...project.env,
    PATH: [
      ...(project.install?.tool ? [places.tools] : []),
      ...(project.needsPython ? [path.join(places.venv, 'bin')] : []),
      ...bins,
      base,
    ].join(':'),
    HOST: host,
    PORT: String(port),
  }
  if (project.portVariable !== undefined) env[project.portVariable] = String(port)
  return env
}
