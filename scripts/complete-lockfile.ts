/**
 * Adds to package-lock.json the binary packages of other platforms that npm left out: `node scripts/complete-lockfile.ts`.
 *
 * npm writes an optional dependency into the lockfile only if the registry in use can describe it. One that holds this platform's binaries
 * alone makes a lockfile that `npm ci` refuses everywhere ("Missing: … from lock file"), here as on other platforms. The version stands
 * in the package that wants it, and the platform in the name, so nothing need be asked. Such an entry has no integrity: npm fetches it by
 * its exact version on the platform it is for, and skips it on every other.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'

const PackageSchema = z.looseObject({
  version: z.string().optional(),
  dev: z.boolean().optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
})
const LockfileSchema = z.looseObject({ packages: z.record(z.string(), PackageSchema) })
export type Lockfile = z.infer<typeof LockfileSchema>

/** Checks without parsing: a parsed object would have its keys in another order. */
const isLockfile = (read: unknown): read is Lockfile => LockfileSchema.safeParse(read).success

const PLATFORM =
  /(?<os>aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-(?<cpu>[a-z0-9]+)(?:-(?<abi>[a-z]+))?$/

/**
 * @returns the lockfile with an entry for every optional dependency, and the names of those that were added.
 * @throws when one is missing whose name does not say its platform or whose version is a range: what it is for cannot be told.
 */
export function completed(lockfile: Lockfile): { readonly lockfile: Lockfile; readonly added: readonly string[] } {
  const { '': root, ...packages } = lockfile.packages
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {}, dev }]) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages))
      .map(([name, version]) => [`node_modules/${name}`, entry(name, version, dev)] as const),
  )
  const all = Object.entries({ ...packages, ...Object.fromEntries(missing) })
  // npm's own order, so that nothing else in the file moves.
  all.sort(([a], [b]) => a.localeCompare(b, 'en'))
  return {
    lockfile: { ...lockfile, packages: { ...(root ? { '': root } : {}), ...Object.fromEntries(all) } },
    added: missing.map(([path]) => path.replace('node_modules/', '')),
  }
}

function entry(name: string, version: string, dev: boolean | undefined) {
  const { os, cpu, abi } = PLATFORM.exec(name)?.groups ?? {}
  if (os === undefined || cpu === undefined) throw new Error(`${name}: its name does not say for which platform it is.`)
  if (!/^\d/.test(version)) throw new Error(`${name}@${version}: a range; only an exact version can be added unasked.`)
  return {
    version,
    cpu: [cpu],
    ...(dev === true ? { dev } : {}),
    ...(os === 'linux' && abi !== undefined ? { libc: [abi.startsWith('musl') ? 'musl' : 'glibc'] } : {}),
    optional: true,
    os: [os],
  }
}

if (import.meta.main) {
  const file = join(import.meta.dirname, '..', 'package-lock.json')
  const read: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (!isLockfile(read)) throw new Error('package-lock.json is not a lockfile with "packages".')
  const { lockfile, added } = completed(read)
  if (added.length > 0) writeFileSync(file, `${JSON.stringify(lockfile, null, 2)}\n`)
  console.log(added.length === 0 ? 'package-lock.json is complete' : `added to package-lock.json: ${added.join(', ')}`)
}
