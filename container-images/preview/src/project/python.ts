import type { ProjectType } from '../../../../shared/contracts/preview-link.ts'
import { below, type InstallPlan, type Project, ProjectError, type ProjectFiles } from './types.ts'

/** Files that name a Python project's packages, the first that is there counts. */
const REQUIREMENTS = [
  'requirements.txt',
  'requirements-dev.txt',
  'requirements/dev.txt',
  'requirements/base.txt',
] as const

/** Where an application object is by custom, below the project's directory. */
const APP_FILES = [
  'app.py',
  'main.py',
  'wsgi.py',
  'asgi.py',
  'api.py',
  'server.py',
  'application.py',
  'app/main.py',
  'app/app.py',
  'app/__init__.py',
  'src/app.py',
  'src/main.py',
  'src/app/main.py',
  'api/main.py',
  'backend/main.py',
  'backend/app.py',
] as const

/** The name that an application object is given: `app = FastAPI(`, also with a type annotation. */
const APP_OBJECT = {
  flask: /^(\w+)(?:\s*:\s*[\w.]+)?\s*=\s*(?:flask\.)?Flask\(/m,
  fastapi: /^(\w+)(?:\s*:\s*[\w.]+)?\s*=\s*(?:fastapi\.)?FastAPI\(/m,
}
const FACTORY = /^def (create_app|make_app)\(/m

type WebFramework = keyof typeof APP_OBJECT

/** What is looked for when nothing is found. */
export const PYTHON_SIGNS = ['manage.py', `a Flask or FastAPI application in ${APP_FILES.slice(0, 4).join(', ')}…`]

/** `python` is that of the environment that the packages were installed into. */
export function detectPython(files: ProjectFiles, directory: string, only?: ProjectType): Project | undefined {
  const common = { directory, needsPython: true, restartOnChange: false, env: {} }
  if ((only === undefined || only === 'django') && files.has(below(directory, 'manage.py')))
    return {
      ...common,
      type: 'django',
      reason: `there is ${below(directory, 'manage.py')}`,
      // A failed migration is told by its output; most pages still work.
      command: 'python manage.py migrate --noinput; exec python manage.py runserver $HOST:$PORT',
      install: install(files, directory, ['django']),
    }
  if (only === 'django') throw new ProjectError(`There is no ${below(directory, 'manage.py')}`)
  for (const framework of ['flask', 'fastapi'] as const) {
    if (only !== undefined && only !== framework) continue
    const app = findApp(files, directory, framework)
    if (app)
      return {
        ...common,
        type: framework,
        ...run(framework, app),
        install: install(files, directory, packages[framework]),
      }
    if (only === framework || namesPackage(files, directory, framework))
      throw new ProjectError(
        `No ${framework === 'flask' ? 'Flask' : 'FastAPI'} application was found in ${APP_FILES.join(', ')}: name the command in covibes.json`,
      )
  }
  return undefined
}

const packages = { flask: ['flask'], fastapi: ['fastapi', 'uvicorn'] } as const

type App = { readonly path: string; readonly file: string; readonly object: string; readonly factory: boolean }

function findApp(files: ProjectFiles, directory: string, framework: WebFramework): App | undefined {
  for (const file of APP_FILES) {
    const text = files.read(below(directory, file))
    // The application may be made in one file and imported by another: an import of the framework is what tells it.
    if (text === undefined || !new RegExp(`^\\s*(?:from|import)\\s+${framework}\\b`, 'm').test(text)) continue
    const object = APP_OBJECT[framework].exec(text)?.[1]
    const factory = object === undefined ? FACTORY.exec(text)?.[1] : undefined
    const name = object ?? factory
    if (name !== undefined) return { path: below(directory, file), file, object: name, factory: factory !== undefined }
  }
  return undefined
}

function run(framework: WebFramework, { path, file, object, factory }: App): Pick<Project, 'command' | 'reason'> {
  const [base, module] = moduleOf(file)
  const reason = `${path} makes a ${framework === 'flask' ? 'Flask' : 'FastAPI'} application`
  if (framework === 'flask') {
    const app = `${base === '' ? '' : `${base}/`}${module.replaceAll('.', '/')}`
    return { reason, command: `python -m flask --app '${app}:${object}' --debug run --host $HOST --port $PORT` }
  }
  const flags = [...(base === '' ? [] : [`--app-dir ${base}`]), ...(factory ? ['--factory'] : [])]
  return {
    reason,
    command: ['python -m uvicorn', ...flags, `'${module}:${object}' --reload --host $HOST --port $PORT`].join(' '),
  }
}

/** Directory to import from, and the module: `src/app/main.py` → `src`, `app.main`. */
function moduleOf(file: string): [string, string] {
  const base = file.startsWith('src/') ? 'src' : ''
  const path = (base === '' ? file : file.slice(4)).replace(/(?:\/__init__)?\.py$/, '')
  return [base, path.replaceAll('/', '.')]
}

function namesPackage(files: ProjectFiles, directory: string, name: string): boolean {
  const pattern = new RegExp(`^[\\s"'-]*${name}(?![\\w-])`, 'im')
  return [...REQUIREMENTS, 'pyproject.toml', 'Pipfile'].some((file) =>
    pattern.test(files.read(below(directory, file)) ?? ''),
  )
}

/** What the project names, and what its command needs in any case: a name that is there already changes nothing for pip. */
function install(files: ProjectFiles, directory: string, needed: readonly string[]): InstallPlan {
  const requirements = REQUIREMENTS.find((name) => files.has(below(directory, name)))
  const pyproject = files.has(below(directory, 'pyproject.toml'))
  const pip = 'python -m pip install --progress-bar off'
  const attempt =
    requirements !== undefined
      ? `${pip} -r ${requirements} ${needed.join(' ')}`
      : pyproject
        ? `python "$COVIBES_PYPROJECT" pyproject.toml > "$COVIBES_SCRATCH/requirements.txt" && ${pip} -r "$COVIBES_SCRATCH/requirements.txt" ${needed.join(' ')}`
        : `${pip} ${needed.join(' ')}`
  return {
    directory,
    attempts: [attempt],
    again: [attempt],
    inputs: [...REQUIREMENTS, 'pyproject.toml'].map((name) => below(directory, name)),
  }
}
