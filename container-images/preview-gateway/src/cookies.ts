/** The gateway's own cookie among the application's: taken out of what goes to the task, protected in what comes from it. */
import { PREVIEW_COOKIE, type PreviewCookie } from '../../../shared/contracts/previews.ts'
import { issueCookie, verifyCookie } from '../../../shared/domain/previews/signatures.ts'
import { BoundedMap } from './bounded-map.ts'

const OURS = PREVIEW_COOKIE.toLowerCase()
const isOurs = (pair: string): boolean => pair.split('=', 1)[0]?.trim().toLowerCase() === OURS

/** A `Cookie` header without ours; undefined when nothing is left. The others stay byte for byte. */
export function withoutOwnCookie(header: string): string | undefined {
  const pairs = header.split(';')
  const others = pairs.filter((pair) => !isOurs(pair))
  if (others.length === pairs.length) return header
  return others.join(';').trim() || undefined
}

/**
 * Reads members from `Cookie` headers. A signature that was good once is not worked out again, for every module of a page: a cookie is
 * looked up by its whole text, and what it says is looked at each time. Only good ones are kept, so nobody else can displace them.
 */
export class OwnCookies {
  readonly #secret: string
  readonly #good: BoundedMap<PreviewCookie>

  constructor(secret: string, entries: number) {
    this.#secret = secret
    this.#good = new BoundedMap(entries)
  }

  /**
   * The member that the header lets into `label`. More than one of ours may come (a script can set a worthless one beside the partitioned
   * one): any that is good counts. `now`: milliseconds since the epoch.
   */
  read(header: string | undefined, label: string, now: number): PreviewCookie | undefined {
    if (header === undefined) return undefined
    for (const pair of header.split(';')) {
      if (!isOurs(pair)) continue
      const cookie = this.#verify(pair.slice(pair.indexOf('=') + 1).trim(), now)
      if (cookie?.label === label) return cookie
    }
    return undefined
  }

  #verify(text: string, now: number): PreviewCookie | undefined {
    const known = this.#good.get(text)
    if (known) return known.exp > now ? known : undefined
    const verified = verifyCookie(text, this.#secret, now)
    if (!verified.ok) return undefined
    this.#good.set(text, verified.value)
    return verified.value
  }
}

/**
 * `SameSite=None; Partitioned`: the preview is framed by the app, which is another site, and the cookie is for that frame alone.
 * `Secure` holds on `http://*.localhost`, too: browsers take it for trustworthy.
 */
export function ownSetCookie(cookie: PreviewCookie, secret: string, now: number): string {
  const seconds = Math.max(0, Math.floor((cookie.exp - now) / 1000))
  return `${PREVIEW_COOKIE}=${issueCookie(cookie, secret)}; Path=/; Max-Age=${seconds}; Secure; HttpOnly; SameSite=None; Partitioned`
}

/** Attributes of an application's cookie that the gateway decides. */
const DECIDED = new Set(['domain', 'samesite', 'secure', 'partitioned'])

/**
 * The application's `Set-Cookie` lines for its own host alone, and for the frame it is shown in: ours cannot be set, no line reaches
 * the hosts of other previews, and none is one that browsers keep from frames of another site (what a framework sets without
 * `SameSite` is `Lax`, and nobody could sign in). `Partitioned` keeps what `SameSite` was for: no other site's pages send it.
 */
export function applicationSetCookies(lines: readonly string[]): string[] {
  return lines
    .filter((line) => !line.split(';', 1)[0]?.toLowerCase().includes(OURS))
    .map((line) => {
      const kept = line
        .split(';')
        .filter((part, index) => index === 0 || !DECIDED.has(part.split('=', 1)[0]?.trim().toLowerCase() ?? ''))
      return `${kept.join(';')}; SameSite=None; Secure; Partitioned`
    })
}
