/** Judges every request and upgrade: to be passed to the task, answered by the gateway, or refused. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import type { Log } from '../../common/src/log.ts'
import type { Access } from './access.ts'
import { type CachedDirectory, messageOf } from './directory.ts'
import type { GatewayLimits } from './limits.ts'
import { Occupancy } from './occupancy.ts'
import type { OpenVisits } from './open-visits.ts'
import { type Page, sendRedirect, wantsPage } from './pages.ts'
import * as pages from './status-pages.ts'
import {
  isOwnPath,
  isRefusal,
  looksLikeAppToken,
  NO_PREVIEW,
  readEntrance,
  readTarget,
  type Target,
  withoutToken,
} from './target.ts'
import type { RunningPreview, Upstream } from './upstream.ts'
import type { Waiting } from './waiting.ts'

const METHOD_REFUSED: Page = {
  status: 405,
  title: 'Method not allowed',
  text: 'The gateway does not pass this method on.',
}
const LENGTH_REQUIRED: Page = {
  status: 411,
  title: 'Length required',
  text: 'A body of this method needs a Content-Length.',
}
const NO_SERVICE_WORKERS: Page = {
  status: 403,
  title: 'No service workers in previews',
  text: 'A service worker would see the ticket and the token with which members open the preview.',
}
const FOREIGN_PAGE: Page = {
  status: 403,
  title: 'Another site',
  text: 'Only pages of the preview itself may open its WebSockets.',
}
const UPGRADE_WITH_BODY: Page = { status: 400, title: 'Bad request', text: 'An upgrade has no body.' }

export type ReceptionOptions = {
  readonly directory: CachedDirectory
  readonly access: Access
  readonly upstream: Upstream
  readonly open: OpenVisits
  readonly waiting: Waiting
  readonly domain: string
  readonly scheme: 'http' | 'https'
  readonly limits: GatewayLimits
  readonly log: Log
}

export class Reception {
  readonly #options: ReceptionOptions
  readonly #requests: Occupancy
  readonly #sockets: Occupancy

  constructor(options: ReceptionOptions) {
    this.#options = options
    this.#requests = new Occupancy(options.limits.requestsPerPreview)
    this.#sockets = new Occupancy(options.limits.socketsPerPreview)
  }

  /** A page to answer with, or undefined when the answer is under way. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<Page | undefined> {
    const target = readTarget(request, this.#options.domain)
    if (isRefusal(target)) return target
    const page = await this.#answer(request, response, target)
    // What a program gets does not load itself again.
    return page && wantsPage(request) ? this.#options.waiting.pageFor(target.label, page) : page
  }

  async #answer(request: IncomingMessage, response: ServerResponse, target: Target): Promise<Page | undefined> {
    const url = request.url ?? '/'
    if (isOwnPath(url)) return this.#enter(request, response, target, url)

    const clean = withoutToken(url, () => true)
    if (clean !== url && isSafe(request)) {
      sendRedirect(request, response, 307, this.#address(target, clean))
      return undefined
    }
    request.url = clean

    const preview = await this.#lookup(target.label)
    if ('title' in preview) return preview
    const { cookie } = request.headers
    const admission = this.#options.access.admit({ label: target.label, preview, cookie })
    if (!admission.admitted) return pages.forbiddenPage('This browser has not been let in, or not recently.')
    const refusal = refusedRequest(request)
    if (refusal) return refusal

    if (!isUp(preview)) return this.#notUp(target.label, preview, wantsPage(request))
    // It went while the directory was asked: its end has been told already, and would never be counted.
    if (response.destroyed) return undefined
    this.#options.directory.visited(target.label)
    if (!this.#requests.take(target.label, response)) return pages.busyPage
    const end = () => void response.destroy()
    const visit = { ...visitOf(target, preview, admission.until), isWebSocket: false, end }
    this.#options.open.add(visit, request.socket, response)
    this.#options.upstream.web(request, response, { ...target, preview })
    return undefined
  }

  async #enter(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    url: string,
  ): Promise<Page | undefined> {
    const entrance = readEntrance(url)
    if (!entrance) return NO_PREVIEW
    if (request.method !== 'GET') return METHOD_REFUSED
    const preview = await this.#lookup(target.label)
    if ('title' in preview) return preview
    const visit = { label: target.label, preview, cookie: request.headers.cookie }
    const entered = await this.#options.access.enter(entrance.ticket, visit).catch((error: unknown) => {
      this.#options.log('WARN', 'A ticket could not be checked', { label: target.label, error: messageOf(error) })
      return undefined
    })
    if (!entered) return pages.unreachableDirectoryPage
    if (!entered.admitted) {
      this.#options.log('INFO', 'A ticket was refused', { label: target.label, why: entered.code })
      return pages.forbiddenPage(entered.why)
    }
    sendRedirect(request, response, 303, this.#address(target, entrance.onward), entered.setCookie)
    return undefined
  }

  /** A page to refuse with, or undefined when the socket is in the library's hands. */
  async handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Page | undefined> {
    const target = readTarget(request, this.#options.domain)
    if (isRefusal(target)) return target
    const { headers } = request
    if (request.method !== 'GET') return METHOD_REFUSED
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
      return UPGRADE_WITH_BODY
    const url = request.url ?? '/'
    if (isOwnPath(url)) return NO_PREVIEW
    // Only a token of the app: dev servers have a `token` of their own on their WebSockets (Vite), and nobody else's page asks here.
    request.url = withoutToken(url, looksLikeAppToken)

    const preview = await this.#lookup(target.label)
    if ('title' in preview) return preview
    const admission = this.#options.access.admit({ label: target.label, preview, cookie: headers.cookie })
    if (!admission.admitted) return pages.forbiddenPage('This browser has not been let in, or not recently.')
    const foreign = headers.origin !== undefined && headers.origin !== this.#address(target, '')
    if (foreign && !preview.public) return FOREIGN_PAGE
    if (!isUp(preview)) return this.#notUp(target.label, preview, false)
    if (socket.destroyed) return undefined
    if (!this.#sockets.take(target.label, socket)) return pages.busyPage
    this.#options.directory.visited(target.label)
    const end = () => void socket.destroy()
    const visit = { ...visitOf(target, preview, admission.until), isWebSocket: true, end }
    this.#options.open.add(visit, request.socket, socket)
    this.#options.upstream.ws(request, socket, head, { ...target, preview })
    return undefined
  }

  async #lookup(label: string): Promise<PreviewDirectoryItem | Page> {
    try {
      return (await this.#options.directory.lookup(label)) ?? NO_PREVIEW
    } catch {
      // Logged by the directory.
      return pages.unreachableDirectoryPage
    }
  }

  #notUp(label: string, preview: PreviewDirectoryItem, mayWake: boolean): Page {
    switch (preview.status) {
      case 'failed':
        return pages.failedPage(preview)
      case 'requested':
      case 'starting':
      case 'running':
        this.#options.directory.visited(label)
        return pages.startingPage(preview)
      case 'stopping':
      case 'completed':
      case 'killed':
        if (!preview.idle) return pages.stoppedPage(preview)
        if (!mayWake) return pages.asleepPage
        this.#options.directory.wake(label, preview)
        return pages.wakingPage
    }
  }

  #address(target: Target, path: string): string {
    return `${this.#options.scheme}://${target.host}${path}`
  }
}

const visitOf = ({ label }: Target, { address, port }: RunningPreview, until: number | undefined) => ({
  label,
  address,
  port,
  until,
})

const isUp = (preview: PreviewDirectoryItem): preview is RunningPreview =>
  preview.status === 'running' && preview.address !== undefined && preview.port !== undefined

const isSafe = (request: IncomingMessage): boolean => request.method === 'GET' || request.method === 'HEAD'

/** What never passes, to whomever it comes. */
function refusedRequest({ method, headers }: IncomingMessage): Page | undefined {
  // TRACE would show headers to scripts that must not see them.
  if (method === 'TRACE' || method === 'CONNECT') return METHOD_REFUSED
  // Browsers send this with every script of a service worker, and let pages neither set nor hide it.
  if (headers['service-worker'] !== undefined || headers['sec-fetch-dest'] === 'serviceworker')
    return NO_SERVICE_WORKERS
  // The proxy library would announce no body and send it all the same: a second request to the task, smuggled into the first.
  if ((method === 'DELETE' || method === 'OPTIONS') && headers['transfer-encoding'] !== undefined)
    return LENGTH_REQUIRED
  return undefined
}
