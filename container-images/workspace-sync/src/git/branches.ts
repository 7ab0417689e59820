/** Names of branches. */

/** Ours at the remote; agents' own branches never go there. */
const OWN = 'covibes/'

/**
 * Whether agents' branch may be pushed under its name: git's rules (git-check-ref-format), no longer than a message shows, and not in our
 * own corner.
 */
export function isBranchName(name: string): boolean {
  if (name.length === 0 || name.length > 200 || name === 'HEAD' || name.startsWith(OWN) || name.startsWith('-'))
    return false
  if (/[\p{Cc} ~^:?*[\\\ufffd]|\.\.|@\{|\/\/|\/$|^\/|\.$/u.test(name) || name === '@') return false
  return name.split('/').every((part) => !part.startsWith('.') && !part.endsWith('.lock'))
}

/** A branch of the remote beside which this name cannot be: one is the other's folder. */
export function findClash(name: string, branches: Iterable<string>): string | undefined {
  for (const other of branches) if (other.startsWith(`${name}/`) || name.startsWith(`${other}/`)) return other
  return undefined
}

export const isRescue = (name: string): boolean => name.startsWith(`${OWN}rescue/`)

/** `covibes/rescue/20250131T120000Z-1a2b3c4d` */
export function rescueName(now: Date, commit: string): string {
  const at = now.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  return `${OWN}rescue/${at}-${commit.slice(0, 8)}`
}
