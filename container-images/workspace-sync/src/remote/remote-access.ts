import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type GitCredential, TEAM_FILES } from '../../../../shared/contracts/link.ts'
import { isAddress } from '../../../../shared/contracts/network-address.ts'
import { checkRepositoryUrl, type RepositoryUrl } from '../../../../shared/contracts/repository-url.ts'
import { checkedAddresses, RemoteRefused, type Resolve } from './addresses.ts'
import { sshCommand } from './ssh-command.ts'

export type RemoteAccessOptions = {
  readonly repository: RepositoryUrl
  readonly allowLoopback: boolean
  /** Where the host keys that were seen first are kept from one container to the next. */
  readonly knownHosts: string
  readonly resolve?: Resolve
}

/**
 * How git may reach the team's repository: by one transport, at addresses that were checked just now, with one credential, with
 * nothing to ask and no redirect to follow. The credential is in the variables of git's own processes; a key is a private
 * file as long as this object lives. `close` removes it.
 */
export class RemoteAccess {
  readonly #options: RemoteAccessOptions
  #credential: GitCredential | undefined
  #directory: Promise<string> | undefined

  constructor(options: RemoteAccessOptions, credential?: GitCredential) {
    this.#options = options
    this.#credential = credential
  }

  /** As git gets it. */
  get url(): string {
    return this.#options.repository.url
  }

  /** Takes another credential in the place of the present one. */
  async use(credential: GitCredential | undefined): Promise<void> {
    if (JSON.stringify(credential) === JSON.stringify(this.#credential)) return
    this.#credential = credential
    await this.close()
  }

  /** The variables of a git process that is started now. Rejects with `RemoteRefused`. */
  async gitEnvironment(): Promise<Readonly<Record<string, string>>> {
    const { repository, allowLoopback, resolve } = this.#options
    const credential = this.#credential
    if (credential !== undefined && (credential.kind === 'ssh-key') !== (repository.transport === 'ssh'))
      throw new RemoteRefused(
        credential.kind === 'ssh-key'
          ? "The team's git credential is a deploy key, which needs an ssh URL of the repository"
          : "The team's git credential is a token, which needs an https URL of the repository",
      )
    const addresses = await checkedAddresses(repository.host, { allowLoopback, ...(resolve ? { resolve } : {}) })
    const common = {
      GIT_TERMINAL_PROMPT: '0',
      // Set but empty: no program is asked for passwords, whatever is configured.
      GIT_ASKPASS: '',
      SSH_ASKPASS: '',
      GIT_ALLOW_PROTOCOL: repository.transport,
    }
    if (repository.transport === 'ssh')
      return {
        ...common,
        GIT_SSH_COMMAND: sshCommand(repository, addresses[0], await this.#sshFiles(credential)),
        GIT_SSH_VARIANT: 'ssh',
      }
    return { ...common, ...asVariables(httpConfig(repository, addresses, credential)) }
  }

  /** A text for members: without the credential in any form that it is used in, and in place of git's and ssh's words what is to be mended. */
  explain(text: string): string {
    const hasNone = this.#credential === undefined
    let clean = text
      .replace(
        NOBODY_TO_ASK,
        hasNone
          ? 'the remote asks for a git credential, and the team has stored none'
          : "the remote refused the team's git credential",
      )
      .replace(
        NO_SUCH_KEY,
        hasNone
          ? 'the remote asks for a deploy key, and the team has stored none: $1'
          : "the remote refused the team's deploy key: $1",
      )
      .replace(UNREADABLE_KEY, "the team's deploy key cannot be read: $1")
    for (const secret of secretsOf(this.#credential)) clean = clean.replaceAll(secret, '***')
    return clean
  }

  /** Removes what was written to disk. Variables given before are of no use then. */
  async close(): Promise<void> {
    const directory = this.#directory
    this.#directory = undefined
    if (directory !== undefined) await rm(await directory, { recursive: true, force: true })
  }

  async #sshFiles(credential: GitCredential | undefined) {
    const { knownHosts } = this.#options
    if (credential?.kind !== 'ssh-key') return { knownHosts, hostKeysGiven: false }
    this.#directory ??= writeKey(credential)
    const directory = await this.#directory
    const given = credential.knownHosts !== undefined
    return {
      identity: path.join(directory, 'key'),
      knownHosts: given ? path.join(directory, 'known_hosts') : knownHosts,
      hostKeysGiven: given,
    }
  }
}

/** Access to the repository that `welcome-sync` names, for the team whose files are below `root`. Throws `RepositoryUrlError`. */
export function remoteOf(
  { url, credential }: { readonly url: string; readonly credential?: GitCredential | undefined },
  options: { readonly allowLoopback: boolean; readonly root: string; readonly resolve: Resolve | undefined },
): RemoteAccess {
  const { allowLoopback, root, resolve } = options
  const repository = checkRepositoryUrl(url, { allowLoopback })
  const knownHosts = path.join(root, TEAM_FILES.sync, 'known_hosts')
  return new RemoteAccess({ repository, allowLoopback, knownHosts, ...(resolve ? { resolve } : {}) }, credential)
}

/** A directory of this user alone (mkdtemp makes it 0700) with the key in the form that ssh reads. */
async function writeKey(credential: Extract<GitCredential, { kind: 'ssh-key' }>): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'covibes-key-'))
  const lines = (text: string) => `${text.replaceAll('\r', '').trim()}\n`
  await writeFile(path.join(directory, 'key'), lines(credential.privateKey), { mode: 0o600, flag: 'wx' })
  if (credential.knownHosts !== undefined)
    await writeFile(path.join(directory, 'known_hosts'), lines(credential.knownHosts), { mode: 0o600, flag: 'wx' })
  return directory
}

/** What git says when a remote wants a user name and there is nobody to ask. */
const NOBODY_TO_ASK = /(?:fatal: )?could not read (?:Username|Password) for '[^']*': terminal prompts disabled/gi

/** What ssh says when no key was let in. */
const NO_SUCH_KEY = /[^\s;]+: (Permission denied \([\w,-]+\))\.?/g

/** What ssh says of a file that is no private key, or one with a passphrase. */
const UNREADABLE_KEY = /Load key "[^"]*": ([^;\r\n]+)/g

const basic = (username: string, token: string): string => Buffer.from(`${username}:${token}`).toString('base64')

function httpConfig(
  { url, host, port }: RepositoryUrl,
  addresses: readonly string[],
  credential: GitCredential | undefined,
): [key: string, value: string][] {
  return [
    ['http.followRedirects', 'false'],
    // A proxy would resolve the name again.
    ['http.proxy', ''],
    // An address in the URL is its own.
    ...(isAddress(host) ? [] : ([['http.curloptResolve', `${host}:${port}:${addresses.join(',')}`]] as const)),
    ['credential.helper', ''],
    ...(credential?.kind === 'token'
      ? ([[`http.${url}.extraHeader`, `Authorization: Basic ${basic(credential.username, credential.token)}`]] as const)
      : []),
  ].map(([key = '', value = '']) => [key, value])
}

/** Configuration of one process (git-config(1), GIT_CONFIG_COUNT): not on its command line, and not on disk. */
function asVariables(config: readonly (readonly [key: string, value: string])[]): Record<string, string> {
  return Object.fromEntries([
    ['GIT_CONFIG_COUNT', String(config.length)],
    ...config.flatMap(([key, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, key],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ])
}

/** Long enough to be one: a very short text would be taken out of everything. */
function secretsOf(credential: GitCredential | undefined): readonly string[] {
  if (credential === undefined) return []
  if (credential.kind === 'token') {
    const { username, token } = credential
    return [token, encodeURIComponent(token), basic(username, token)].filter((secret) => secret.length >= 4)
  }
  return credential.privateKey.split(/\r?\n/).filter((line) => line.length >= 16 && !line.startsWith('-----'))
}
