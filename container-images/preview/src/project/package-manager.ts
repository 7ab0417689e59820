import type { PackageJson } from './package-json.ts'
import { below, type InstallPlan, type PackageTool, type ProjectFiles } from './types.ts'

/**
 * Versions for repositories that name none (`packageManager` in package.json does): the newest that read the lockfile as it is and
 * run on the image's Node.
 */
const PNPM = { 5: '7.33.7', 6: '8.15.9', 9: '10.34.9' } as const
const YARN_CLASSIC = '1.22.22'
const YARN_BERRY = '4.18.1'

/** `npm ci` and its like refuse a lockfile that is behind its manifest, which agents often leave so: then it is brought up to date. */
type Manager = Pick<InstallPlan, 'attempts' | 'again' | 'tool'>

const LOCKFILES = ['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock'] as const

/** Files beside the manifest that decide what a package manager does. */
const SETTINGS = ['.npmrc', '.yarnrc', '.yarnrc.yml', 'pnpm-workspace.yaml', 'package.json']

/**
 * How the dependencies of the package in `directory` are installed, by the nearest lockfile at or above it (a workspace's lies above);
 * undefined when it has none to install.
 */
export function installPlan(files: ProjectFiles, directory: string, manifest: PackageJson): InstallPlan | undefined {
  const home = directoriesUpwards(directory).find((up) => LOCKFILES.some((name) => files.has(below(up, name))))
  if (home === undefined && !manifest.hasDependencies) return undefined
  const at = home ?? directory
  return {
    directory: at,
    inputs: [...LOCKFILES, ...SETTINGS].map((name) => below(at, name)),
    product: below(at, 'node_modules'),
    ...manager(files, at, manifest.packageManager),
  }
}

function manager(files: ProjectFiles, directory: string, wanted: string | undefined): Manager {
  const has = (name: string) => files.has(below(directory, name))
  if (has('pnpm-lock.yaml')) {
    const tool: PackageTool = { name: 'pnpm', package: `pnpm@${pnpmVersion(files, directory, wanted)}` }
    const attempts = ['pnpm install --frozen-lockfile', 'pnpm install --no-frozen-lockfile']
    return { attempts, again: attempts, tool }
  }
  if (has('yarn.lock')) {
    const text = files.read(below(directory, 'yarn.lock')) ?? ''
    const asked = versionOf('yarn', wanted)
    const berry = asked === undefined ? text.includes('__metadata:') : !asked.startsWith('1.')
    const version = asked ?? (berry ? YARN_BERRY : YARN_CLASSIC)
    const frozen = berry
      ? ['--immutable', '--no-immutable']
      : ['--frozen-lockfile --non-interactive', '--non-interactive']
    const attempts = frozen.map((flag) => `yarn install ${flag}`)
    return {
      attempts,
      again: attempts,
      tool: { name: 'yarn', package: berry ? `@yarnpkg/cli-dist@${version}` : `yarn@${version}` },
    }
  }
  const again = ['npm install']
  return { attempts: has('package-lock.json') || has('npm-shrinkwrap.json') ? ['npm ci', ...again] : again, again }
}

function pnpmVersion(files: ProjectFiles, directory: string, wanted: string | undefined): string {
  const asked = versionOf('pnpm', wanted)
  if (asked !== undefined) return asked
  const text = files.read(below(directory, 'pnpm-lock.yaml')) ?? ''
  const format = Number(/^lockfileVersion:\s*['"]?(\d+)/m.exec(text)?.[1] ?? 9)
  return format <= 5 ? PNPM[5] : format < 9 ? PNPM[6] : PNPM[9]
}

/** `pnpm@9.1.0+sha512.…` → `9.1.0`. The hash is corepack's; npm checks the registry's own. */
function versionOf(name: string, wanted: string | undefined): string | undefined {
  const [manager, version] = wanted?.split('@') ?? []
  return manager === name ? /^\d+\.\d+\.\d+(?:-[\w.]+)?/.exec(version ?? '')?.[0] : undefined
}

/** A directory and those above it up to the tree's root. */
export function directoriesUpwards(directory: string): string[] {
  const found = [directory]
  for (let up = directory; up !== ''; found.push(up)) up = up.includes('/') ? up.slice(0, up.lastIndexOf('/')) : ''
  return found
}
