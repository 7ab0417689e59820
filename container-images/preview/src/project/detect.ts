/**
 * What a working tree is and how it runs, from its files alone. In this order: what the repository itself asks for, Next.js, Vite, Vue CLI,
 * Create React App, plain Node, Django, Flask, FastAPI, static files; else nothing, with what was looked for.
 */
import { detectNode } from './node.ts'
import { OVERRIDE_FILES, type Override, readOverride } from './override.ts'
import { detectPython, PYTHON_SIGNS } from './python.ts'
import { below, type Project, ProjectError, type ProjectFiles } from './types.ts'

/** Directories whose index.html is the site, in the order in which they are looked at. */
const SITES = ['', 'public', 'dist', 'build', 'site', 'www', 'docs'] as const

/** Names that do not make a tree a project: what a code host puts into a new repository, and our own. */
const BARE = /^(?:readme|licen[cs]e|changelog|contributing|code_of_conduct|security)(?:\.|$)|^\.|^covibes\.json$/i

const LOOKED_FOR = [
  `${OVERRIDE_FILES.slice(0, 2).join(' or ')}, which says how to run the project`,
  'a package.json that depends on next, vite, @vue/cli-service or react-scripts',
  'a package.json with a script "dev" or "start", or with a "main" file',
  ...PYTHON_SIGNS,
  `an index.html, also in ${SITES.slice(1).join('/, ')}/`,
]

/** Throws `ProjectError` when the repository's own files say something that cannot be. */
export function detectProject(files: ProjectFiles): Project {
  const override = readOverride(files)
  const directory = override?.directory ?? ''
  if (override?.directory !== undefined && directory !== '' && files.list(directory).length === 0)
    throw new ProjectError(`${override.file}: directory: there is no ${directory} in the repository`)
  const found =
    override?.command !== undefined && override.type === undefined
      ? (withoutProblems(() => detectType(files, directory)) ?? nothing(files, directory))
      : (detectType(files, directory, override?.type) ?? nothing(files, directory))
  if (override?.type !== undefined && found.type !== override.type)
    throw new ProjectError(
      `${override.file}: type: there is no ${override.type} project in ${directory || 'the repository'}`,
    )
  return override ? overridden(found, override) : found
}

function detectType(files: ProjectFiles, directory: string, only?: Project['type']): Project | undefined {
  return (
    detectNode(files, directory, only) ?? detectPython(files, directory, only) ?? detectStatic(files, directory, only)
  )
}

/** With a command of the repository's own, it matters little that its other files make no sense. */
function withoutProblems(detect: () => Project | undefined): Project | undefined {
  try {
    return detect()
  } catch (error) {
    if (error instanceof ProjectError) return undefined
    throw error
  }
}

function detectStatic(files: ProjectFiles, directory: string, only?: Project['type']): Project | undefined {
  if (only !== undefined && only !== 'static') return undefined
  const site = SITES.find((name) => files.has(below(below(directory, name), 'index.html')))
  if (site === undefined) return undefined
  const at = below(directory, site)
  return {
    type: 'static',
    directory,
    reason: `there is ${below(at, 'index.html')}`,
    env: {},
    needsPython: false,
    restartOnChange: false,
    files: at,
  }
}

function nothing(files: ProjectFiles, directory: string): Project {
  const empty = files.list(directory).every((name) => BARE.test(name))
  return {
    type: empty ? 'empty' : 'unknown',
    directory,
    reason: empty ? 'there are no files of a project yet' : 'nothing that can be run was found',
    env: {},
    needsPython: false,
    restartOnChange: false,
    lookedFor: LOOKED_FOR,
  }
}

function overridden(found: Project, { file, command, install, port, env, type }: Override): Project {
  const { install: foundInstall, files: site, lookedFor, command: foundCommand, ...rest } = found
  const plan =
    install === undefined
      ? foundInstall
      : install === false
        ? undefined
        : {
            directory: found.directory,
            attempts: [install],
            again: [install],
            inputs: [...(foundInstall?.inputs ?? [])],
            ...(foundInstall?.tool ? { tool: foundInstall.tool } : {}),
          }
  const own = command !== undefined
  return {
    ...rest,
    type:
      type ??
      (own && (found.type === 'unknown' || found.type === 'empty' || found.type === 'static') ? 'custom' : found.type),
    reason: own ? `${file} names the command` : `${file}; ${found.reason}`,
    ...(own ? { command, restartOnChange: false } : foundCommand === undefined ? {} : { command: foundCommand }),
    ...(plan ? { install: plan } : {}),
    ...(port === undefined ? {} : { portVariable: port }),
    ...(!own && site !== undefined ? { files: site } : {}),
    ...(!own && lookedFor ? { lookedFor } : {}),
    env: { ...found.env, ...env },
  }
}
