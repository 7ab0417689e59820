import type { RepositoryUrl } from '../../../../shared/contracts/repository-url.ts'

export type SshFiles = {
  /** Absent: there is no key, and no remote will let us in. */
  readonly identity?: string | undefined
  readonly knownHosts: string
  /** Host keys are known beforehand: an unknown one is refused. Otherwise the first one seen is kept, and another refused. */
  readonly hostKeysGiven: boolean
}

/** A word of a POSIX shell, which git runs the command by. */
const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** A file name in an option of ssh_config(5), where `%` begins a token and quotes hold blanks together. */
function configPath(path: string): string {
  // ssh has no way to write these: `${` begins a variable.
  if (/["\\$\n]/.test(path)) throw new Error(`ssh cannot be given the file name ${JSON.stringify(path)}`)
  return `"${path.replaceAll('%', '%%')}"`
}

/**
 * `GIT_SSH_COMMAND` that connects to one checked address, whatever the name resolves to by then, and knows the host by its name.
 * It reads no configuration, asks nothing, offers one key at most and forwards nothing.
 */
export function sshCommand({ host, port }: RepositoryUrl, address: string, files: SshFiles): string {
  const options: Record<string, string> = {
    BatchMode: 'yes',
    HostName: address,
    // As known_hosts has it: an alias stands there as it is given, and only other ports than 22 are named.
    HostKeyAlias: port === 22 ? host : `[${host}]:${port}`,
    UserKnownHostsFile: configPath(files.knownHosts),
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: files.hostKeysGiven ? 'yes' : 'accept-new',
    UpdateHostKeys: 'no',
    CheckHostIP: 'no',
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    IdentityFile: files.identity === undefined ? 'none' : configPath(files.identity),
    PreferredAuthentications: 'publickey',
    ClearAllForwardings: 'yes',
    ForwardAgent: 'no',
    ConnectTimeout: '15',
    ServerAliveInterval: '15',
    ServerAliveCountMax: '3',
  }
  const words = Object.entries(options).map(([name, value]) => `-o ${shellWord(`${name}=${value}`)}`)
  return ['ssh', '-F', 'none', ...words].join(' ')
}
