/** Files of a directory over HTTP, as the frontend's bucket would give them. */
import { createReadStream, realpathSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** What a build of the frontend is made of; anything else is offered as bytes. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.avif': 'image/avif',
  '.css': 'text/css; charset=utf-8',
  '.gif': 'image/gif',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.mp3': 'audio/mpeg',
  '.mp4': 'video/mp4',
  '.otf': 'font/otf',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.xml': 'application/xml; charset=utf-8',
}

/**
 * Answers GET and HEAD with the file of `directory` that the path names, and with nothing outside of it; the edge has turned paths
 * of the frontend's own into `/index.html`. @throws when there is no such directory.
 */
export function serveDirectory(directory: string) {
  const root = realpathSync(directory)
  return (request: IncomingMessage, response: ServerResponse): void => {
    serve(root, request, response).catch((error: unknown) => {
      // The client has gone, or the file went while it was read: the answer cannot be mended any more.
      response.destroy(error instanceof Error ? error : undefined)
    })
  }
}

interface File {
  readonly path: string
  readonly size: number
  readonly modified: Date
}

async function serve(root: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, { allow: 'GET, HEAD' })
  const path = pathOf(request.url ?? '/')
  if (path === undefined) return refuse(response, 400)
  const file = await find(root, path)
  if (!file) return refuse(response, 404)
  const etag = `"${file.size.toString(16)}-${file.modified.getTime().toString(16)}"`
  const headers = {
    'content-type': CONTENT_TYPES[extname(file.path).toLowerCase()] ?? 'application/octet-stream',
    etag,
    'last-modified': file.modified.toUTCString(),
    // Asked again each time: a new build is seen with the next load, an unchanged file costs a 304.
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
  }
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers).end()
    return
  }
  response.writeHead(200, { ...headers, 'content-length': file.size })
  if (request.method === 'HEAD') response.end()
  else await pipeline(createReadStream(file.path), response)
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers })
  response.end(`${status}\n`)
}

/** Decoded, without the query; undefined when it is not a path that a file could have. */
function pathOf(url: string): string | undefined {
  try {
    const path = decodeURIComponent(url.split(/[?#]/, 1)[0] ?? '/')
    return path.includes('\0') ? undefined : path
  } catch {
    return undefined // a stray percent sign
  }
}

/** A file below the root, by its real path: neither dots nor a symbolic link lead out of it. */
async function find(root: string, path: string): Promise<File | undefined> {
  try {
    const real = await realpath(join(root, path))
    if (!real.startsWith(`${root}${sep}`)) return undefined
    const found = await stat(real)
    return found.isFile() ? { path: real, size: found.size, modified: found.mtime } : undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG' || code === 'ELOOP') return undefined
    throw error
  }
}
