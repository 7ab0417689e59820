import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { createGunzip } from 'node:zlib'

export type GitServerOptions = {
  /** Directory of bare repositories, `<name>.git`. */
  readonly root: string
  /** What `Authorization: Basic` must hold, `user:token`; left out, everybody may read and write. */
  readonly credential?: string
  /** Left out, this machine only. */
  readonly host?: string
  /** Answers a request in the repositories' place; true when it did. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** Repositories over git's smart HTTP protocol (gitprotocol-http(5)), served by git itself. */
export class GitServer {
  readonly requests: IncomingMessage[] = []
  readonly #options: GitServerOptions
  readonly #server: Server

  private constructor(options: GitServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => this.#serve(request, response))
  }

  static async start(options: GitServerOptions): Promise<GitServer> {
    const server = new GitServer(options)
    await new Promise<void>((resolve) => server.#server.listen(0, options.host ?? '127.0.0.1', resolve))
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  url(name: string, host = '127.0.0.1'): string {
    return `http://${host}:${this.port}/${name}.git`
  }

  /** The directory of a repository, for git commands of the test's own. */
  directory(name: string): string {
    return path.join(this.#options.root, `${name}.git`)
  }

  /** Makes an empty repository that can be pushed to. */
  create(name: string): string {
    const directory = this.directory(name)
    execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', directory])
    return directory
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request)
    if (this.#options.answer?.(request, response)) return
    const { credential } = this.#options
    const shown = Buffer.from(request.headers.authorization?.replace(/^Basic /, '') ?? '', 'base64').toString()
    if (credential !== undefined && shown !== credential) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
      return
    }
    const url = new URL(request.url ?? '/', 'http://server')
    const [, name = '', what = ''] =
      /^\/([\w-]+)\.git\/(info\/refs|git-upload-pack|git-receive-pack)$/.exec(url.pathname) ?? []
    const service = what === 'info/refs' ? (url.searchParams.get('service') ?? '') : what
    if (!/^git-(upload|receive)-pack$/.test(service) || !existsSync(this.directory(name)))
      response.writeHead(404).end('Repository not found\n')
    else this.#run(service.slice('git-'.length), this.directory(name), what === 'info/refs', request, response)
  }

  #run(
    command: string,
    directory: string,
    advertise: boolean,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const protocol = request.headers['git-protocol']
    const child = spawn('git', [command, '--stateless-rpc', ...(advertise ? ['--advertise-refs'] : []), directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH ?? '', ...(typeof protocol === 'string' ? { GIT_PROTOCOL: protocol } : {}) },
    })
    response.writeHead(200, {
      'content-type': `application/x-git-${command}-${advertise ? 'advertisement' : 'result'}`,
      'cache-control': 'no-cache',
    })
    if (advertise) response.write(packet(`# service=git-${command}\n`) + FLUSH)
    child.stdout.pipe(response)
    child.stdin.on('error', () => undefined)
    if (request.headers['content-encoding'] === 'gzip') request.pipe(createGunzip()).pipe(child.stdin)
    else request.pipe(child.stdin)
  }
}

const FLUSH = '0000'
/** gitprotocol-common(5): the length of a packet, itself included, in four hexadecimal digits. */
const packet = (text: string): string => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`
