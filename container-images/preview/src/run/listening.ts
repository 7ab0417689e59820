/** Which TCP ports processes listen on: from `/proc/net/tcp` and the descriptors of the processes. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export type Listener = { readonly address: string; readonly port: number }

const LISTEN = '0A'

/** Sockets that any of these processes of ours listens on. */
export function listenersOf(pids: readonly number[]): Listener[] {
  const inodes = new Set(pids.flatMap(socketsOf))
  return [...table('/proc/net/tcp'), ...table('/proc/net/tcp6')]
    .filter(({ inode }) => inodes.has(inode))
    .map(({ address, port }) => ({ address, port }))
}

function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        return []
      }
    })
  } catch {
    // It has ended, or it is not ours to look at.
    return []
  }
}

function table(path: string): (Listener & { readonly inode: string })[] {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch {
    // A kernel without IPv6 has no table for it.
    return []
  }
  return text.split('\n').flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    const [address, port] = local?.split(':') ?? []
    if (state !== LISTEN || address === undefined || port === undefined || inode === undefined) return []
    return { address: decodeAddress(address), port: Number.parseInt(port, 16), inode }
  })
}

/** The kernel prints addresses as 32-bit words in the machine's own byte order, which is little-endian on x86-64 and arm64. */
function decodeAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex')].reverse())
  const v4 = bytes.slice(-4).join('.')
  if (bytes.length === 4) return v4
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  )
  return groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff' ? v4 : groups.join(':')
}
