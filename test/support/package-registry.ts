/** A package registry of one package, with npm's own tarball of it, and of a package manager, that can be gone. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

export type PackageRegistry = {
  readonly url: string
  /** Paths that were asked for. */
  readonly asked: string[]
  /** A project that depends on the package, by npm's lockfile, and answers with what it exports. */
  readonly project: Readonly<Record<string, string>>
  /** The same by pnpm's. */
  readonly pnpmProject: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** Stands for pnpm: installs what it was asked to be. `npm exec` fetches it like any other version. */
const MANAGER = { name: 'pnpm', version: '9.9.9' } as const
const manager = (name: string, exported: string) => `#!/usr/bin/env node
const fs = require('node:fs')
fs.mkdirSync('node_modules/${name}', { recursive: true })
fs.writeFileSync('node_modules/${name}/index.js', ${JSON.stringify(`module.exports = ${JSON.stringify(exported)}`)})
`

/** npm's tarball of a package with these files. */
async function packed(manifest: { name: string; version: string; bin?: string }, files: Record<string, string>) {
  const made = await mkdtemp(path.join(tmpdir(), 'covibes-package-'))
  await writeFile(path.join(made, 'package.json'), JSON.stringify(manifest))
  for (const [file, content] of Object.entries(files)) await writeFile(path.join(made, file), content)
  execFileSync('npm', ['pack', '--silent'], { cwd: made, stdio: 'pipe' })
  const tarball = await readFile(path.join(made, `${manifest.name}-${manifest.version}.tgz`))
  await rm(made, { recursive: true, force: true })
  return { manifest, tarball, integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}` }
}

export async function startRegistry(name: string, exported: string): Promise<PackageRegistry> {
  const own = await packed({ name, version: '1.0.0' }, { 'index.js': `module.exports = ${JSON.stringify(exported)}` })
  const managers = await packed({ ...MANAGER, bin: 'pnpm.js' }, { 'pnpm.js': manager(name, exported) })
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    for (const { manifest, tarball, integrity } of [own, managers]) {
      const file = `/${manifest.name}/-/${manifest.name}-${manifest.version}.tgz`
      if (request.url === file) return void response.end(tarball)
      if (request.url !== `/${manifest.name}`) continue
      const dist = { tarball: `http://${request.headers.host}${file}`, integrity }
      const versions = { [manifest.version]: { ...manifest, dist } }
      return void response.end(
        JSON.stringify({ name: manifest.name, 'dist-tags': { latest: manifest.version }, versions }),
      )
    }
    response.writeHead(404).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const dependencies = { [name]: '1.0.0' }
  const resolved = `${url}/${name}/-/${name}-1.0.0.tgz`
  const manifest = { name: 'app', version: '1.0.0', scripts: { dev: 'node a.js' }, dependencies }
  const files = {
    // One that is gone is gone at once.
    '.npmrc': `registry=${url}\nfetch-retries=0\n`,
    'a.js': `require('http').createServer((q, s) => s.end(require('${name}'))).listen(process.env.PORT, process.env.HOST)`,
  }
  return {
    url,
    asked,
    project: {
      ...files,
      'package.json': JSON.stringify(manifest),
      'package-lock.json': JSON.stringify({
        name: 'app',
        version: '1.0.0',
        lockfileVersion: 3,
        packages: {
          '': { name: 'app', version: '1.0.0', dependencies },
          [`node_modules/${name}`]: { version: '1.0.0', resolved, integrity: own.integrity },
        },
      }),
    },
    pnpmProject: {
      ...files,
      'package.json': JSON.stringify({ ...manifest, packageManager: `pnpm@${MANAGER.version}` }),
      'pnpm-lock.yaml': "lockfileVersion: '9.0'\n",
    },
    close: () =>
      new Promise((resolve) => {
        if (!server.listening) resolve()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
