import { expect, test } from 'vitest'
import { detectProject } from '../../../container-images/preview/src/project/detect.ts'
import type { ProjectFiles } from '../../../container-images/preview/src/project/types.ts'
import type { Tree } from './preview-fixture.ts'

const files = (tree: Tree): ProjectFiles => ({
  has: (path) => Object.hasOwn(tree, path),
  read: (path) => tree[path],
  list: (directory) => {
    const prefix = directory === '' ? '' : `${directory}/`
    const names = Object.keys(tree).filter((name) => name.startsWith(prefix))
    return [...new Set(names.map((name) => name.slice(prefix.length).split('/')[0] ?? ''))]
  },
})
const detect = (tree: Tree) => detectProject(files(tree))
const manifest = (content: object) => ({ 'package.json': JSON.stringify(content) })
const depends = (name: string, scripts: Record<string, string> = {}) =>
  manifest({ dependencies: { [name]: '1' }, scripts })

test.each([
  ['next', depends('next', { dev: 'next dev --turbopack' }), 'next dev --turbopack -H $HOST -p $PORT'],
  ['next', depends('next', { dev: 'next -p 4000' }), 'next -H $HOST -p $PORT'],
  [
    'next',
    depends('next', { dev: 'next dev --port=4000 --hostname 0.0.0.0 --inspect' }),
    'next dev --inspect -H $HOST -p $PORT',
  ],
  ['next', depends('next', { dev: 'cross-env A=b next dev' }), 'cross-env A=b next dev -H $HOST -p $PORT'],
  ['next', depends('next', { dev: 'next dev', predev: 'node gen.js' }), 'node gen.js && next dev -H $HOST -p $PORT'],
  ['next', depends('next', { start: 'next start', build: 'next build' }), 'next dev -H $HOST -p $PORT'],
  ['next', depends('next', { dev: 'node server.js' }), 'node server.js'],
  ['next', depends('next', { dev: 'concurrently "next dev" "node api.js"' }), 'concurrently "next dev" "node api.js"'],
  ['vite', depends('vite', { dev: 'vite' }), 'vite --host $HOST --port $PORT --strictPort'],
  ['vite', depends('vite', { dev: 'vite --host --port 3000 --open' }), 'vite --host $HOST --port $PORT --strictPort'],
  [
    'vite',
    depends('vite', { start: 'npx vite --mode test' }),
    'npx vite --mode test --host $HOST --port $PORT --strictPort',
  ],
  [
    'vite',
    depends('vite', { build: 'vite build', preview: 'vite preview' }),
    'vite --host $HOST --port $PORT --strictPort',
  ],
  ['vite', depends('vite', { dev: 'vite build --watch' }), 'vite build --watch'],
  ['vite', depends('@sveltejs/kit', { dev: 'vite dev' }), 'vite dev --host $HOST --port $PORT --strictPort'],
  [
    'vue-cli',
    depends('@vue/cli-service', { serve: 'vue-cli-service serve' }),
    'vue-cli-service serve --host $HOST --port $PORT',
  ],
  ['create-react-app', depends('react-scripts', { start: 'react-scripts start' }), 'react-scripts start'],
  ['create-react-app', depends('react-scripts', { start: 'craco start' }), 'craco start'],
])('%s: %j', (type, tree, command) => {
  expect(detect(tree)).toMatchObject({ type, command, needsPython: false, restartOnChange: false })
})

test('Next.js comes before Vite, frameworks before plain scripts, Node before Python, all before static files', () => {
  const all = {
    ...manifest({ dependencies: { next: '1', vite: '1' }, scripts: { dev: 'next dev' } }),
    'manage.py': '',
    'index.html': '',
  }
  expect(detect(all).type).toBe('next')
  expect(detect({ ...all, ...depends('vite') }).type).toBe('vite')
  expect(detect({ ...all, ...manifest({ scripts: { dev: 'x' } }) }).type).toBe('node')
  expect(detect({ ...all, ...manifest({}) }).type).toBe('django')
  expect(detect({ 'index.html': '', 'package.json': '{}' }).type).toBe('static')
})

test('plain Node: dev, then start, then main', () => {
  const scripts = { dev: 'nodemon a.js', start: 'node a.js' }
  expect(detect({ ...manifest({ scripts, main: 'a.js' }), 'a.js': '' })).toMatchObject({
    type: 'node',
    command: 'nodemon a.js',
    restartOnChange: false,
  })
  expect(detect(manifest({ scripts: { start: 'node a.js', prestart: 'tsc' }, main: 'a.js' }))).toMatchObject({
    command: 'tsc && node a.js',
    restartOnChange: true,
  })
  expect(detect(manifest({ scripts: { start: 'node --watch a.js' } })).restartOnChange).toBe(false)
  const watchesFor = (dev: string) => detect(manifest({ scripts: { dev } })).restartOnChange
  expect(['node a.js', 'NODE_ENV=development node a.js'].map(watchesFor)).toEqual([true, true])
  expect(['node --watch a.js', 'node a.js & node b.js', 'gulp'].map(watchesFor)).toEqual([false, false, false])
  expect(detect({ ...manifest({ main: './lib/it is.js' }), 'lib/it is.js': '' })).toMatchObject({
    command: "node 'lib/it is.js'",
    restartOnChange: true,
  })
  expect(detect(manifest({ main: 'missing.js' })).type).toBe('unknown')
  expect(detect({ ...manifest({ main: '../out.js' }), '../out.js': '' }).type).toBe('unknown')
})

test.each([
  ['package-lock.json', '', ['npm ci', 'npm install'], undefined],
  ['npm-shrinkwrap.json', '', ['npm ci', 'npm install'], undefined],
  [
    'pnpm-lock.yaml',
    "lockfileVersion: '9.0'",
    ['pnpm install --frozen-lockfile', 'pnpm install --no-frozen-lockfile'],
    'pnpm@10.34.9',
  ],
  ['pnpm-lock.yaml', 'lockfileVersion: 5.4', expect.anything(), 'pnpm@7.33.7'],
  ['pnpm-lock.yaml', "lockfileVersion: '6.1'", expect.anything(), 'pnpm@8.15.9'],
  [
    'yarn.lock',
    '# yarn lockfile v1',
    ['yarn install --frozen-lockfile --non-interactive', 'yarn install --non-interactive'],
    'yarn@1.22.22',
  ],
  [
    'yarn.lock',
    '__metadata:\n  version: 8',
    ['yarn install --immutable', 'yarn install --no-immutable'],
    '@yarnpkg/cli-dist@4.18.1',
  ],
])('installs by %s (%s)', (lockfile, content, attempts, tool) => {
  const { install } = detect({ ...depends('vite'), [lockfile]: content })
  expect(install).toMatchObject({ attempts, directory: '', product: 'node_modules' })
  expect(install?.tool?.package).toBe(tool)
})

test('installs with the package manager that package.json names, with npm without a lockfile, and not at all without dependencies', () => {
  const named = (packageManager: string) => manifest({ dependencies: { next: '1' }, packageManager })
  expect(detect({ ...named('pnpm@9.1.0+sha512.abc'), 'pnpm-lock.yaml': '' }).install?.tool?.package).toBe('pnpm@9.1.0')
  expect(detect({ ...named('yarn@3.8.7'), 'yarn.lock': '' }).install?.tool?.package).toBe('@yarnpkg/cli-dist@3.8.7')
  expect(detect({ ...named('yarn@1.22.19'), 'yarn.lock': '__metadata:' }).install?.tool?.package).toBe('yarn@1.22.19')
  expect(detect({ ...named('pnpm@$(reboot)'), 'pnpm-lock.yaml': '' }).install?.tool?.package).toBe('pnpm@10.34.9')
  expect(detect(depends('next')).install?.attempts).toEqual(['npm install'])
  expect(detect(manifest({ scripts: { dev: 'node a.js' } })).install).toBeUndefined()
})

test("a package of a workspace is installed where the workspace's lockfile is", () => {
  const { install, command, directory } = detect({
    'covibes.json': '{"directory": "./apps/web/"}',
    'pnpm-lock.yaml': 'lockfileVersion: 9.0',
    'apps/web/package.json': JSON.stringify({ dependencies: { vite: '1' } }),
  })
  expect({ directory, command }).toEqual({
    directory: 'apps/web',
    command: 'vite --host $HOST --port $PORT --strictPort',
  })
  expect(install).toMatchObject({ directory: '', product: 'node_modules' })
})

test('Python: Django by manage.py, Flask and FastAPI by their applications', () => {
  expect(detect({ 'manage.py': '', 'requirements.txt': 'django' })).toMatchObject({
    type: 'django',
    needsPython: true,
    command: expect.stringContaining('runserver $HOST:$PORT'),
    install: { attempts: ['python -m pip install --progress-bar off -r requirements.txt django'] },
  })
  expect(detect({ 'app.py': 'from flask import Flask\nweb = Flask(__name__)' })).toMatchObject({
    type: 'flask',
    reason: 'app.py makes a Flask application',
    command: "python -m flask --app 'app:web' --debug run --host $HOST --port $PORT",
    install: { attempts: ['python -m pip install --progress-bar off flask'] },
  })
  expect(detect({ 'src/app/main.py': 'import fastapi\napp: fastapi.FastAPI = fastapi.FastAPI()' })).toMatchObject({
    type: 'fastapi',
    command: "python -m uvicorn --app-dir src 'app.main:app' --reload --host $HOST --port $PORT",
  })
  expect(
    detect({ 'app/__init__.py': 'from flask import Flask\ndef create_app(config=None):\n  pass' }).command,
  ).toContain("--app 'app:create_app'")
  expect(detect({ 'main.py': 'from fastapi import FastAPI\ndef create_app():\n  return FastAPI()' }).command).toContain(
    "--factory 'main:create_app'",
  )
  expect(
    detect({ 'pyproject.toml': '', 'main.py': 'from fastapi import FastAPI\napp = FastAPI()' }).install?.attempts[0],
  ).toContain('pyproject.toml')
})

test('a Python project whose application cannot be found says where it was looked for', () => {
  expect(() => detect({ 'requirements.txt': 'Flask==3.0\n', 'run.py': '' })).toThrow(
    /No Flask application was found in app\.py, main\.py/,
  )
  expect(() => detect({ 'pyproject.toml': 'dependencies = [\n  "fastapi>=0.1",\n]' })).toThrow(/No FastAPI application/)
  expect(detect({ 'requirements.txt': 'flask-lint-nothing\n' }).type).toBe('unknown')
})

test('static files, in the directory that has an index.html', () => {
  expect(detect({ 'index.html': '' })).toMatchObject({ type: 'static', files: '', reason: 'there is index.html' })
  expect(detect({ 'public/index.html': '', 'dist/index.html': '' })).toMatchObject({ files: 'public' })
  expect(detect({ 'covibes.json': '{"directory":"web"}', 'web/index.html': '' })).toMatchObject({ files: 'web' })
})

test('nothing: an empty tree, and one of unknown things', () => {
  expect(detect({})).toMatchObject({ type: 'empty' })
  expect(detect({ 'README.md': '', LICENSE: '', '.gitignore': '' })).toMatchObject({ type: 'empty' })
  const unknown = detect({ 'main.go': '' })
  expect(unknown).toMatchObject({ type: 'unknown' })
  expect(unknown.lookedFor?.join()).toMatch(/covibes\.json.*package\.json.*manage\.py.*index\.html/)
  expect(unknown.command).toBeUndefined()
})

test('covibes.json and .colabvibe.yml override everything', () => {
  expect(
    detect({
      ...depends('next'),
      'covibes.json': '{"command": "make serve", "install": "make deps", "port": "WEB_PORT", "env": {"A": "b"}}',
    }),
  ).toMatchObject({
    type: 'next',
    command: 'make serve',
    install: { attempts: ['make deps'], again: ['make deps'] },
    portVariable: 'WEB_PORT',
    env: { A: 'b' },
    reason: 'covibes.json names the command',
  })
  expect(detect({ '.colabvibe.yml': 'command: ./serve.sh\n', 'main.go': '' })).toMatchObject({
    type: 'custom',
    command: './serve.sh',
  })
  expect(detect({ 'covibes.json': '{"command":"x"}', 'requirements.txt': 'flask' })).toMatchObject({ type: 'custom' })
  expect(detect({ ...depends('next'), 'covibes.json': '{"install": false}' }).install).toBeUndefined()
  expect(detect({ ...depends('next'), 'index.html': '', 'covibes.json': '{"type": "static"}' })).toMatchObject({
    type: 'static',
  })
  expect(detect({ 'index.html': '', 'covibes.json': '{"command": "x"}' })).toMatchObject({
    type: 'custom',
    command: 'x',
  })
  expect(detect({ 'index.html': '', 'covibes.json': '{"command": "x"}' }).files).toBeUndefined()
  expect(detect({ 'index.html': '', '.colabvibe.yml': '' }).type).toBe('static')
})

test.each([
  ['{"comand": "x"}', 'covibes.json: comand: unknown, there are type, directory, command, install, port, env'],
  ['{"command": ""}', 'covibes.json: command: is empty'],
  ['{"port": 3000}', 'covibes.json: port: is the name of the variable'],
  ['{"port": "a b"}', 'covibes.json: port: must be the name of a variable'],
  ['{"directory": "../x"}', 'covibes.json: directory: must be a directory inside the repository'],
  ['{"directory": "/etc"}', 'covibes.json: directory: must be'],
  ['{"directory": "web"}', 'covibes.json: directory: there is no web in the repository'],
  ['{"type": "rails"}', 'covibes.json: type:'],
  ['{"type": "vite"}', 'covibes.json: type: there is no vite project in the repository'],
  ['{"type": "django"}', 'There is no manage.py'],
  ['{"env": {"A=B": "x"}}', 'covibes.json: env.A=B: is no name of a variable'],
  ['[]', 'covibes.json: the file:'],
  ['{', 'covibes.json cannot be read:'],
])('says what is wrong with %s', (text, message) => {
  expect(() => detect({ 'covibes.json': text, 'index.html': '' })).toThrow(message)
})

test('a file that is no YAML, and an alias bomb, are refused with its name', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`),
  ]
  for (const text of ['a: [', bomb.join('\n')])
    expect(() => detect({ '.colabvibe.yml': text })).toThrow(/^\.colabvibe\.yml/)
})

test('a package.json that cannot be read is named; fields of other shapes are as if they were not there', () => {
  expect(() => detect({ 'package.json': '{"a": 1,}' })).toThrow(/^package\.json cannot be read: /)
  expect(() => detect({ 'package.json': '7' })).toThrow('package.json cannot be read: it is not an object')
  expect(detect({ 'package.json': '\uFEFF{"scripts": [], "main": 3, "dependencies": null}', 'a.go': '' }).type).toBe(
    'unknown',
  )
  expect(detect(manifest({ scripts: { dev: 7, start: 'node a.js' } })).command).toBe('node a.js')
})
