import { lookup } from 'node:dns/promises'
import { addressKind, isAddress } from '../../../../shared/contracts/network-address.ts'

/** All addresses of a name, the best first. Rejects when there are none. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** The remote cannot be used; the message is for the team's members and holds no credential. */
export class RemoteRefused extends Error {
  override readonly name = 'RemoteRefused'
}

/** Milliseconds for the system's resolver, which by itself tries for half a minute. */
const RESOLVE_MS = 10_000

/** Addresses of one name that are used: more are not tried by anybody. */
const MAX_ADDRESSES = 8

/** The system's resolver: /etc/hosts and DNS, in the order of RFC 6724. */
export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)

/**
 * The addresses that may be connected to for this host, now: all that its name has, at least one, and each of them public (or
 * this machine's, where that is allowed). A name with one wrong address is refused altogether. What connects must use these and
 * not resolve the name again, because the next answer may be another. Rejects with `RemoteRefused`.
 */
export async function checkedAddresses(
  host: string,
  options: { readonly allowLoopback: boolean; readonly resolve?: Resolve },
): Promise<readonly [string, ...string[]]> {
  const found = isAddress(host) ? [host] : await resolveInTime(host, options.resolve ?? systemResolve)
  const wrong = found.find((address) => !isAllowed(address, options.allowLoopback))
  if (wrong !== undefined)
    throw new RemoteRefused(
      `${host} leads to ${wrong}, which is an address of this network or for a special purpose, not a public one`,
    )
  const [first, ...others] = found.slice(0, MAX_ADDRESSES)
  if (first === undefined) throw new RemoteRefused(`${host} has no address`)
  return [first, ...others]
}

function isAllowed(address: string, allowLoopback: boolean): boolean {
  const kind = addressKind(address)
  return kind === 'public' || (kind === 'loopback' && allowLoopback)
}

async function resolveInTime(host: string, resolve: Resolve): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${RESOLVE_MS / 1000} s`)), RESOLVE_MS)
  })
  try {
    return await Promise.race([resolve(host), late])
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new RemoteRefused(`The address of ${host} cannot be found (${code ?? message})`)
  } finally {
    clearTimeout(timer)
  }
}
