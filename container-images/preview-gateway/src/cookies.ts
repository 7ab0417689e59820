/** The gateway's own cookie among the application's: taken out of what goes to the task, protected in what comes from it. */
import { PREVIEW_COOKIE, type PreviewCookie } from '../../../shared/contracts/previews.ts'
import { issueCookie, verifyCookie } from '../../../shared/domain/previews/signatures.ts'

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
 * The member that a `Cookie` header lets into `label`. More than one of ours may come (a script can set a worthless one beside the
 * partitioned one): any that is good counts.
 */
export function readOwnCookie(
  header: string | undefined,
  label: string,
  secret: string,
  now: number,
): PreviewCookie | undefined {
  for (const pair of header?.split(';') ?? []) {
    if (!isOurs(pair)) continue
    const verified = verifyCookie(pair.slice(pair.indexOf('=') + 1).trim(), secret, now)
    if (verified.ok && verified.value.label === label) return verified.value
  }
  return undefined
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
