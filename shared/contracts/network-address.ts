/** What may be reached from inside our network on a team's word: public addresses and nothing else. */
import ipaddr from 'ipaddr.js'

/** `public`: the Internet's. `loopback`: this machine's. `special`: everything else, the cloud's metadata addresses among it. */
export type AddressKind = 'public' | 'loopback' | 'special'

/** Global unicast (RFC 4291, 2.4, and IANA's registry): whatever else IPv6 has is assigned to nobody or to something special. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Sorts an address as resolvers write it: IPv4 in four decimal parts, IPv6 without a zone. A mapped IPv4 address is sorted as the
 * one it maps; other forms that carry an IPv4 address (NAT64, 6to4, Teredo, compatible) are `special`. What is no address is
 * `special`, too.
 */
export function addressKind(text: string): AddressKind {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipv4Kind(ipaddr.IPv4.parse(text))
  if (!ipaddr.IPv6.isValid(text) || text.includes('%')) return 'special'
  const address = ipaddr.IPv6.parse(text)
  if (address.isIPv4MappedAddress()) return ipv4Kind(address.toIPv4Address())
  const range = address.range()
  if (range === 'loopback') return 'loopback'
  return range === 'unicast' && address.match(GLOBAL_UNICAST) ? 'public' : 'special'
}

function ipv4Kind(address: ipaddr.IPv4): AddressKind {
  const range = address.range()
  if (range === 'loopback') return 'loopback'
  return range === 'unicast' ? 'public' : 'special'
}

/** Whether a text is an address of either family, as `addressKind` takes it. */
export const isAddress = (text: string): boolean =>
  ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !text.includes('%'))
