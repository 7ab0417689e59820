/** A package registry of one package, with npm's own tarball of it, that can be gone. */
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
  /** A project that depends on the package, by lockfile, and answers with what it exports. */
  readonly project: Readonly<Record<string, string>>
  close(): Promise<void>
}

export async function startRegistry(name: string, exported: string): Promise<PackageRegistry> {
  const made = await mkdtemp(path.join(tmpdir(), 'covibes-package-'))
  await writeFile(path.join(made, 'package.json'), JSON.stringify({ name, version: '1.0.0', main: 'index.js' }))
  await writeFile(path.join(made, 'index.js'), `module.exports = ${JSON.stringify(exported)}`)
  execFileSync('npm', ['pack', '--silent'], { cwd: made, stdio: 'pipe' })
  const tarball = await readFile(path.join(made, `${name}-1.0.0.tgz`))
  await rm(made, { recursive: true, force: true })
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (request.url === `/${name}/-/${name}-1.0.0.tgz`) response.end(tarball)
    else response.writeHead(404).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const dependencies = { [name]: '1.0.0' }
  const resolved = `${url}/${name}/-/${name}-1.0.0.tgz`
  return {
    url,
    asked,
    project: {
      'package.json': JSON.stringify({ name: 'app', version: '1.0.0', scripts: { dev: 'node a.js' }, dependencies }),
      'package-lock.json': JSON.stringify({
        name: 'app',
        version: '1.0.0',
        lockfileVersion: 3,
        packages: {
          '': { name: 'app', version: '1.0.0', dependencies },
          [`node_modules/${name}`]: { version: '1.0.0', resolved, integrity },
        },
      }),
      // One that is gone is gone at once.
      '.npmrc': `registry=${url}\nfetch-retries=0\n`,
      'a.js': `require('http').createServer((q, s) => s.end(require('${name}'))).listen(process.env.PORT, process.env.HOST)`,
    },
    close: () =>
      new Promise((resolve) => {
        if (!server.listening) resolve()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
