/** The gateway's own answers: a page for a person, a line of text for anything else. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'

export type Page = {
  readonly status: number
  readonly title: string
  /** A sentence or two; plain text. */
  readonly text: string
  /** Last lines of a log; plain text. */
  readonly lines?: readonly string[]
  /** Seconds after which the page loads itself again. */
  readonly reloadSeconds?: number
}

export type PageContext = { readonly appOrigins: readonly string[] }

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** A log's line without a terminal's escape sequences and control characters. */
const printable = (line: string): string => stripVTControlCharacters(line).replace(/\p{Cc}/gu, ' ')

function html(page: Page, appOrigin: string | undefined): string {
  const reload = page.reloadSeconds === undefined ? '' : `<meta http-equiv="refresh" content="${page.reloadSeconds}">`
  const log = page.lines?.length ? `<pre>${page.lines.map((line) => escapeHtml(printable(line))).join('\n')}</pre>` : ''
  const home =
    page.status === 403 && appOrigin ? `<p><a href="${escapeHtml(appOrigin)}" target="_top">Open Covibes</a></p>` : ''
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${reload}
<title>${escapeHtml(page.title)}</title><style>
body{font:16px/1.5 system-ui,sans-serif;margin:0;padding:12vh 6vw;color:#1f2430;background:#f7f7f9}
h1{font-size:1.3rem}main{max-width:46rem;margin:auto}pre{background:#1f2430;color:#e6e6ea;padding:1rem;overflow:auto;font-size:.8rem}
@media(prefers-color-scheme:dark){body{background:#16181d;color:#e6e6ea}a{color:#9ab8ff}}
</style></head><body><main><h1>${escapeHtml(page.title)}</h1><p>${escapeHtml(page.text)}</p>${log}${home}</main></body></html>
`
}

const isNavigation = (request: IncomingMessage): boolean =>
  (request.headers['sec-fetch-mode'] ?? 'navigate') === 'navigate' && /text\/html/i.test(request.headers.accept ?? '')

export const wantsPage = (request: IncomingMessage): boolean =>
  (request.method === 'GET' || request.method === 'HEAD' || request.method === 'POST') && isNavigation(request)

const commonHeaders = (page: Page, { appOrigins }: PageContext): Record<string, string> => ({
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'content-security-policy': `default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self' ${appOrigins.join(' ')}`,
  ...(page.reloadSeconds === undefined ? {} : { 'retry-after': String(page.reloadSeconds) }),
})

/** A body that nobody will read is not waited for: the connection ends with the answer. */
const hasBody = (request: IncomingMessage): boolean =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0

/** Answers with a page, or with its text when the request is not a person's navigation. Nothing happens when an answer has begun. */
export function sendPage(request: IncomingMessage, response: ServerResponse, page: Page, context: PageContext): void {
  if (response.headersSent) return
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  const asPage = wantsPage(request)
  const body = asPage ? html(page, context.appOrigins[0]) : `${page.title}. ${page.text}\n`
  response.writeHead(page.status, {
    ...commonHeaders(page, context),
    'content-type': asPage ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...(hasBody(request) && !request.complete ? { connection: 'close' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Redirects without a trace: no Referer, no cache. `location` names the host, so that a path of two slashes stays a path. */
export function sendRedirect(
  request: IncomingMessage,
  response: ServerResponse,
  status: 303 | 307,
  location: string,
  setCookie?: string,
): void {
  response.writeHead(status, {
    location,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'content-length': 0,
    ...(setCookie ? { 'set-cookie': setCookie } : {}),
    ...(hasBody(request) && !request.complete ? { connection: 'close' } : {}),
  })
  response.end()
}

/** Answers an upgrade with text instead, on its bare socket, and ends it. */
export function refuseUpgrade(socket: Duplex, page: Page): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = `${page.title}. ${page.text}\n`
  socket.end(
    `HTTP/1.1 ${page.status} ${STATUS_CODES[page.status] ?? 'Refused'}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n${body}`,
  )
}
