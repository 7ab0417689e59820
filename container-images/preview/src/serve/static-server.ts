import { createReadStream } from 'node:fs'
import { readFile, realpath, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CHANGES_PATH, notFoundPage, RELOAD_SCRIPT } from './pages.ts'

/** What is served: the files of a directory, or one page at every path. */
export type Served = { readonly directory: string } | { readonly page: string }

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.htm': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.xml': 'application/xml; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
  '.ico': 'image/x-icon',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.otf': 'font/otf',
  '.mp3': 'audio/mpeg',
  '.wav': 'audio/wav',
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
  '.pdf': 'application/pdf',
  '.wasm': 'application/wasm',
}

/** A larger page is served as it is, without the script that reloads it. */
const MAX_PAGE_BYTES = 5 * 1024 * 1024
/** Open pages that are told of changes. */
const MAX_LISTENERS = 200
/** Milliseconds; nothing between here and the browser keeps a silent connection longer than a minute for certain. */
const KEEP_ALIVE_MS = 25_000

/** A site of files, with pages that reload themselves when a file changes. */
export class StaticServer {
  readonly #served: Served
  readonly #server: Server
  readonly #listeners = new Set<ServerResponse>()
  readonly #keepAlive: NodeJS.Timeout

  private constructor(served: Served) {
    this.#served = served
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: NodeJS.ErrnoException) => {
        // The visitor has gone, or the file has vanished halfway.
        if (response.headersSent) response.destroy()
        else response.writeHead(500).end(error.code ?? 'failed')
      })
    })
    this.#keepAlive = setInterval(() => this.#tell(':\n\n'), KEEP_ALIVE_MS).unref()
  }

  /** Rejects when the port is taken. */
  static async start(served: Served, host: string, port: number): Promise<StaticServer> {
    const server = new StaticServer(served)
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject)
      server.#server.listen(port, host, resolve)
    })
    return server
  }

  /** Files have changed: open pages load themselves anew. */
  changed(): void {
    this.#tell('event: change\ndata:\n\n')
  }

  async close(): Promise<void> {
    clearInterval(this.#keepAlive)
    for (const listener of this.#listeners) listener.end()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    setTimeout(() => this.#server.closeAllConnections(), 500).unref()
    await closed
  }

  #tell(text: string): void {
    for (const listener of this.#listeners) listener.write(text)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end('Only GET and HEAD are answered by a site of files\n')
      return
    }
    const target = request.url?.split(/[?#]/)[0] ?? '/'
    if (target === CHANGES_PATH) return this.#listen(request, response)
    if ('page' in this.#served) return sendText(request, response, 200, this.#served.page)
    const file = await findFile(this.#served.directory, target)
    if (file === undefined) {
      const own = await findFile(this.#served.directory, '/404.html')
      if (own?.kind === 'file') return sendFile(request, response, 404, own)
      return sendText(request, response, 404, notFoundPage(target))
    }
    if (file.kind === 'directory') {
      response.writeHead(301, { location: `${target.replace(/^\/+/, '/')}/` }).end()
      return
    }
    return sendFile(request, response, 200, file)
  }

  #listen(request: IncomingMessage, response: ServerResponse): void {
    if (this.#listeners.size >= MAX_LISTENERS || request.method !== 'GET') {
      response.writeHead(503).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(':\n\n')
    this.#listeners.add(response)
    response.on('close', () => this.#listeners.delete(response))
    response.on('error', () => this.#listeners.delete(response))
  }
}

type Found =
  | { readonly kind: 'file'; readonly path: string; readonly size: number; readonly tag: string }
  | { readonly kind: 'directory' }

/** The file that a path names: itself, its index.html, or the same with `.html`. Names with a leading dot and what lies outside are not found. */
async function findFile(root: string, target: string): Promise<Found | undefined> {
  let name: string
  try {
    name = decodeURIComponent(target)
  } catch {
    return undefined
  }
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (name.includes('\0') || parts.some((part) => part.startsWith('.') && part !== '.well-known')) return undefined
  const place = path.join(root, ...parts)
  const asDirectory = name.endsWith('/')
  for (const candidate of asDirectory ? [path.join(place, 'index.html')] : [place, `${place}.html`]) {
    const found = await plainFile(root, candidate)
    if (found) return found
  }
  return !asDirectory && (await plainFile(root, path.join(place, 'index.html'))) ? { kind: 'directory' } : undefined
}

async function plainFile(root: string, place: string): Promise<Found | undefined> {
  try {
    const real = await realpath(place)
    if (!real.startsWith(`${await realpath(root)}${path.sep}`)) return undefined
    const stats = await stat(real)
    const tag = `"${stats.ino.toString(36)}-${stats.mtimeMs.toString(36)}-${stats.size.toString(36)}"`
    return stats.isFile() ? { kind: 'file', path: real, size: stats.size, tag } : undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== undefined && ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES'].includes(code)) return undefined
    throw error
  }
}

async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  file: Extract<Found, { kind: 'file' }>,
): Promise<void> {
  const type = TYPES[path.extname(file.path).toLowerCase()] ?? 'application/octet-stream'
  if (type.startsWith('text/html') && file.size <= MAX_PAGE_BYTES)
    return sendText(request, response, status, withScript(await readFile(file.path, 'utf8')))
  if (request.headers['if-none-match'] === file.tag) {
    response.writeHead(304, { etag: file.tag }).end()
    return
  }
  response.writeHead(status, {
    'content-type': type,
    'content-length': file.size,
    'cache-control': 'no-cache',
    etag: file.tag,
  })
  if (request.method === 'HEAD') response.end()
  else await pipeline(createReadStream(file.path, { end: Math.max(0, file.size - 1) }), response)
}

function sendText(request: IncomingMessage, response: ServerResponse, status: number, html: string): void {
  const body = Buffer.from(html)
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-cache',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Before the end of the body, where it does not disturb a page that has none. */
function withScript(html: string): string {
  const at = html.toLowerCase().lastIndexOf('</body')
  return at === -1 ? html + RELOAD_SCRIPT : html.slice(0, at) + RELOAD_SCRIPT + html.slice(at)
}
