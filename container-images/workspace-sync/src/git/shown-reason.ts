/** What of git's complaints a person can act on. */

/** UTF-16 units of a reason. */
const MAX_REASON = 300

/** What ssh says of why there is no connection; git itself only notices that nobody answers. */
const OF_SSH =
  /Permission denied|Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|host key is known for|^Load key |^ssh: |^(kex_exchange_identification|ssh_exchange_identification|ssh_dispatch_run_fatal|banner exchange): |^Connection (closed|reset|refused|timed out)|^(Timeout, server|Received disconnect|Unable to negotiate|Too many authentication failures)/

/** What git says when the other side has given the reason, before or beside it. */
const GENERIC =
  /^(Could not read from remote repository|The remote end hung up|early EOF|index-pack failed|fetch-pack: |expected flush|protocol error|unable to access '[^']*': The requested URL returned error|Authentication failed for|repository '[^']*' not found)/i

/** Advice that goes with every failure, rules and banners, and what ssh tells of itself. */
const NOISE =
  /^(Please make sure you have the correct access rights|and the repository exists\.|hint:|warning:|Warning: Permanently added|\*\* |@+( |$))/i

// biome-ignore lint/suspicious/noControlCharactersInRegex: what a remote sends must not steer a terminal
const CONTROL = /\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g

/**
 * Of what a git process wrote on its standard error, the part that says what is wrong and so what to do: ssh's own line before git's
 * "Could not read from remote repository", a host's explanation beside git's "returned error: 403". One line, at most 300 characters;
 * empty when nothing was said. Credentials are taken out by the caller before, because they may stand anywhere.
 */
export function shownReason(stderr: string): string {
  const lines = stderr
    .replaceAll(CONTROL, '')
    .split(/[\r\n]+/)
    .map((line) => line.trim().replace(/^remote: ?/, ''))
    .filter((line) => /[\p{L}\p{N}]/u.test(line))
  const ofSsh = lines.filter((line) => OF_SSH.test(line))
  if (ofSsh.length > 0) return join(ofSsh.map(plain))
  const own = lines.filter((line) => /^(fatal|error):/.test(line)).map(plain)
  const specific = own.findLast((line) => !GENERIC.test(line))
  if (specific !== undefined) return join([specific])
  const others = lines.filter((line) => !/^(fatal|error):/.test(line) && !NOISE.test(line)).map(plain)
  const last = own.at(-1)
  if (last === undefined) return join(others.slice(-1))
  // A host that says nothing of its own leaves git's words.
  const isEmpty = /^Could not read from remote repository/i.test(last) && others.length > 0
  return join(isEmpty ? others : [...others, last])
}

const plain = (line: string): string => line.replace(/^(?:fatal|error|ERROR): */, '').replace(/^@+ +|(?<! ) +@+$/g, '')

/** Each line once; the last ones, which are nearest to the end, when there are too many. */
function join(lines: readonly string[]): string {
  const kept: string[] = []
  for (const line of [...new Set(lines)].reverse()) {
    if (kept.length > 0 && [...kept, line].join('; ').length > MAX_REASON) break
    kept.unshift(line)
  }
  return kept.join('; ').slice(0, MAX_REASON)
}
