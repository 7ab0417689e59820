import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkedAddresses, RemoteRefused } from '../../../container-images/workspace-sync/src/remote/addresses.ts'
import { RemoteAccess } from '../../../container-images/workspace-sync/src/remote/remote-access.ts'
import { type GitCredential, GitCredentialSchema } from '../../../shared/contracts/link.ts'
import { checkRepositoryUrl, type RepositoryUrl } from '../../../shared/contracts/repository-url.ts'
import { GitServer, type GitServerOptions } from '../../support/git-server.ts'
import { makeTeam, removeDirectories } from './sync-fixture.ts'

const TOKEN = GitCredentialSchema.parse({ kind: 'token', token: 'ghp_secret1234' })
const PUBLIC = '93.184.215.14'

describe('addresses', () => {
  const allowed = (found: readonly string[], allowLoopback = false) =>
    checkedAddresses('git.example.com', { allowLoopback, resolve: async () => found })

  it('are all that the name has, in its order', async () => {
    expect(await allowed([PUBLIC, '2606:2800:21f::1'])).toEqual([PUBLIC, '2606:2800:21f::1'])
    expect(await allowed(Array.from({ length: 20 }, (_, each) => `8.8.8.${each}`))).toHaveLength(8)
  })

  it.each([
    '10.0.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '::1',
    'fe80::1',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
  ])('are none at all when %s is among them', async (address) => {
    await expect(allowed([PUBLIC, address])).rejects.toThrow(RemoteRefused)
    await expect(allowed([PUBLIC, address])).rejects.toThrow(`git.example.com leads to ${address}, which is`)
  })

  it('may be this machine’s where that is allowed, but nobody else’s', async () => {
    expect(await allowed(['::1', '127.0.0.1'], true)).toEqual(['::1', '127.0.0.1'])
    await expect(allowed(['10.0.0.1'], true)).rejects.toThrow('10.0.0.1')
  })

  it('that do not exist are said to', async () => {
    await expect(allowed([])).rejects.toThrow('git.example.com has no address')
    const resolve = () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))
    await expect(checkedAddresses('nowhere.example.com', { allowLoopback: false, resolve })).rejects.toThrow(
      'The address of nowhere.example.com cannot be found (ENOTFOUND)',
    )
  })

  it('are asked of the system by default; an address is its own', async () => {
    expect(await checkedAddresses('localhost', { allowLoopback: true })).toContain('127.0.0.1')
    await expect(checkedAddresses('localhost', { allowLoopback: false })).rejects.toThrow('localhost leads to')
    expect(await checkedAddresses(PUBLIC, { allowLoopback: false })).toEqual([PUBLIC])
  })
})

describe('git over http', () => {
  let servers: GitServer[] = []
  let root: string
  beforeEach(async () => {
    root = (await makeTeam()).root
  })
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close()
    servers = []
    await removeDirectories()
  })

  async function serve(options: Partial<GitServerOptions> = {}): Promise<GitServer> {
    const repositories = path.join(root, `repositories${servers.length}`)
    await mkdir(repositories)
    const server = await GitServer.start({ root: repositories, ...options })
    servers.push(server)
    const bare = server.create('x')
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@x', '-C', root, ...args], { stdio: 'pipe' })
    git('clone', '--quiet', bare, `clone${servers.length}`)
    git('-C', `clone${servers.length}`, 'commit', '--quiet', '--allow-empty', '-m', 'first')
    git('-C', `clone${servers.length}`, 'push', '--quiet', 'origin', 'HEAD:main')
    return server
  }

  const access = (url: RepositoryUrl, credential?: GitCredential, addresses = ['127.0.0.1']) =>
    new RemoteAccess(
      {
        repository: url,
        allowLoopback: true,
        knownHosts: path.join(root, 'known_hosts'),
        resolve: async () => addresses,
      },
      credential,
    )

  /** As the engine runs it: an environment made from nothing, and these variables. */
  async function lsRemote(remote: RemoteAccess, url = remote.url): Promise<string> {
    const env = {
      PATH: process.env.PATH ?? '',
      HOME: '/nonexistent',
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      ...(await remote.gitEnvironment()),
    }
    const { stdout } = await promisify(execFile)('git', ['ls-remote', url], { env, timeout: 20_000 })
    return stdout
  }

  /** A name that only these variables lead to this machine: it does not exist. */
  const named = (server: GitServer, host = 'git.example.com'): RepositoryUrl => ({
    ...checkRepositoryUrl(server.url('x'), { allowLoopback: true }),
    url: server.url('x', host),
    host,
  })

  it('reaches the address that was checked, whatever the name resolves to, with the token in a header', async () => {
    const server = await serve({ credential: 'x-access-token:ghp_secret1234' })
    expect(await lsRemote(access(named(server), TOKEN))).toContain('refs/heads/main')
    expect(server.requests[0]?.headers.host).toBe(`git.example.com:${server.port}`)
  })

  it.each([['127.0.0.1'], ['::1']])('goes to %s when the name has that address only', async (address) => {
    const server = await serve({ host: address })
    expect(await lsRemote(access(named(server), undefined, [address]))).toContain('refs/heads/main')
    const literal = checkRepositoryUrl(server.url('x', address === '::1' ? '[::1]' : address), { allowLoopback: true })
    expect(await lsRemote(access(literal))).toContain('refs/heads/main')
  })

  it('tries the next address when one does not answer', async () => {
    const server = await serve()
    expect(await lsRemote(access(named(server), undefined, ['127.0.0.9', '127.0.0.1']))).toContain('refs/heads/main')
  })

  it('asks nobody for a password, and shows no token, when the remote refuses', async () => {
    const server = await serve({ credential: 'x-access-token:another' })
    const remote = access(named(server), TOKEN)
    const error = await lsRemote(remote).catch((problem: unknown) => problem)
    expect(String(error)).toMatch(/terminal prompts disabled|Authentication failed/)
    expect(String(error)).not.toContain('secret')
  })

  it('shows the token to this repository only', async () => {
    const server = await serve()
    const other = await serve()
    const remote = access(named(server), TOKEN)
    await lsRemote(remote, other.url('x'))
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual(other.requests.map(() => undefined))
    await lsRemote(remote)
    expect(server.requests[0]?.headers.authorization).toMatch(/^Basic /)
  })

  it('follows no redirect, to wherever', async () => {
    const target = await serve()
    const server = await serve({
      answer: (request, response) => {
        response.writeHead(302, { location: `${target.url('x')}${request.url?.replace('/x.git', '')}` }).end()
        return true
      },
    })
    await expect(lsRemote(access(named(server)))).rejects.toThrow(/302|redirect/)
    expect(target.requests).toEqual([])
  })

  it('uses no other transport', async () => {
    const server = await serve()
    const remote = access(named(server))
    for (const url of [
      `file://${server.directory('x')}`,
      server.directory('x'),
      'ext::touch /tmp/x',
      'git://127.0.0.1/x',
    ])
      await expect(lsRemote(remote, url)).rejects.toThrow(/not allowed/)
  })

  it('goes past a proxy, which would resolve the name again', async () => {
    const server = await serve()
    process.env.http_proxy = 'http://127.0.0.1:9'
    try {
      const env = { ...process.env, ...(await access(named(server)).gitEnvironment()) }
      const { stdout } = await promisify(execFile)('git', ['ls-remote', server.url('x', 'git.example.com')], { env })
      expect(stdout).toContain('refs/heads/main')
    } finally {
      delete process.env.http_proxy
    }
  })

  it('takes another credential while it runs', async () => {
    const server = await serve({ credential: 'me:new-token' })
    const remote = access(named(server), TOKEN)
    await expect(lsRemote(remote)).rejects.toThrow()
    await remote.use({ kind: 'token', username: 'me', token: 'new-token' })
    expect(await lsRemote(remote)).toContain('refs/heads/main')
    expect(remote.explain('new-token')).toBe('***')
  })

  it('is not begun with the wrong kind of credential', async () => {
    const server = await serve()
    const key: GitCredential = { kind: 'ssh-key', privateKey: 'x' }
    await expect(access(named(server), key).gitEnvironment()).rejects.toThrow('needs an ssh URL')
    const ssh = checkRepositoryUrl('git@example.com:x', { allowLoopback: false })
    await expect(access(ssh, TOKEN).gitEnvironment()).rejects.toThrow('needs an https URL')
    expect(server.requests).toEqual([])
  })

  it('has the credential in variables alone: nothing is written', async () => {
    const server = await serve()
    const variables = await access(named(server), TOKEN).gitEnvironment()
    const secret = Buffer.from('x-access-token:ghp_secret1234').toString('base64')
    expect(Object.entries(variables).filter(([, value]) => value.includes(secret))).toHaveLength(1)
    expect(existsSync(path.join(root, 'known_hosts'))).toBe(false)
  })
})

describe('texts for members', () => {
  it('takes every form of a credential out of a text', () => {
    const repository = checkRepositoryUrl('https://example.com/x', { allowLoopback: false })
    const options = { repository, allowLoopback: false, knownHosts: '/nonexistent' }
    const token = { kind: 'token', username: 'me', token: 'a+b/c=d' } as const
    const basic = Buffer.from('me:a+b/c=d').toString('base64')
    expect(new RemoteAccess(options, token).explain(`1 a+b/c=d 2 a%2Bb%2Fc%3Dd 3 ${basic} 4`)).toBe(
      '1 *** 2 *** 3 *** 4',
    )
    const key = {
      kind: 'ssh-key',
      privateKey: '-----BEGIN KEY-----\nAAAABBBBCCCCDDDDEEEE\n-----END KEY-----\n',
    } as const
    expect(new RemoteAccess(options, key).explain('x AAAABBBBCCCCDDDDEEEE y')).toBe('x *** y')
    expect(new RemoteAccess(options).explain('x')).toBe('x')
    const prompt = "git fetch: could not read Username for 'https://example.com': terminal prompts disabled"
    expect(new RemoteAccess(options, token).explain(prompt)).toBe(
      "git fetch: the remote refused the team's git credential",
    )
    expect(new RemoteAccess(options).explain(prompt)).toBe(
      'git fetch: the remote asks for a git credential, and the team has stored none',
    )
    const denied =
      'git fetch: Load key "/tmp/k/key": error in libcrypto; git@example.com: Permission denied (publickey).'
    expect(new RemoteAccess(options, key).explain(denied)).toBe(
      "git fetch: the team's deploy key cannot be read: error in libcrypto; " +
        "the remote refused the team's deploy key: Permission denied (publickey)",
    )
    expect(new RemoteAccess(options).explain('git@example.com: Permission denied (publickey,password)')).toBe(
      'the remote asks for a deploy key, and the team has stored none: Permission denied (publickey,password)',
    )
  })
})

describe('the ssh command', () => {
  const run = promisify(execFile)
  /** What ssh itself makes of the command for a host, by `ssh -G`. */
  async function understood(remote: RemoteAccess, args: readonly string[]): Promise<Map<string, string>> {
    const { GIT_SSH_COMMAND } = await remote.gitEnvironment()
    const { stdout } = await run('sh', ['-c', `${GIT_SSH_COMMAND} -G "$@"`, 'sh', ...args])
    return new Map(
      stdout
        .trim()
        .split('\n')
        .map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]),
    )
  }
  const remoteOf = (url: string, credential?: GitCredential, knownHosts = '/team/sync/known_hosts') =>
    new RemoteAccess(
      {
        repository: checkRepositoryUrl(url, { allowLoopback: false }),
        allowLoopback: false,
        knownHosts,
        resolve: async () => [PUBLIC],
      },
      credential,
    )

  it('connects to the checked address and knows the host by its name', async () => {
    const remote = remoteOf('ssh://git@git.example.com:2222/x')
    const options = await understood(remote, ['-p', '2222', 'git@git.example.com'])
    expect(options.get('hostname')).toBe(PUBLIC)
    expect(options.get('hostkeyalias')).toBe('[git.example.com]:2222')
    expect(options.get('port')).toBe('2222')
    expect((await understood(remoteOf('git@git.example.com:x'), ['git@git.example.com'])).get('hostkeyalias')).toBe(
      'git.example.com',
    )
    expect(options.get('userknownhostsfile')).toBe('/team/sync/known_hosts')
    expect(options.get('stricthostkeychecking')).toBe('accept-new')
    expect(options.get('batchmode')).toBe('yes')
    expect(options.get('identitiesonly')).toBe('yes')
    expect(options.get('identityagent')).toBe('none')
    expect(options.get('forwardagent')).toBe('no')
  })

  it('offers the key from a private file, knows the hosts that are given, and removes both', async () => {
    const key: GitCredential = {
      kind: 'ssh-key',
      privateKey: '\r\nline 1\r\nline 2',
      knownHosts: 'git.example.com ssh-ed25519 AAAA',
    }
    const remote = remoteOf('git@git.example.com:x', key)
    const options = await understood(remote, ['git@git.example.com'])
    const file = options.get('identityfile') ?? ''
    expect(await readFile(file, 'utf8')).toBe('line 1\nline 2\n')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(path.dirname(file))).mode & 0o777).toBe(0o700)
    expect(options.get('stricthostkeychecking')).toBe('true')
    expect(await readFile(options.get('userknownhostsfile') ?? '', 'utf8')).toContain('AAAA')
    // The same file for every process, until the end.
    expect((await understood(remote, ['git@git.example.com'])).get('identityfile')).toBe(file)
    await remote.close()
    expect(existsSync(path.dirname(file))).toBe(false)
  })

  it('survives file names with blanks, quotes and percent signs, and refuses those ssh cannot be given', async () => {
    const odd = "/team of 'a'/100%d/known_hosts"
    const options = await understood(remoteOf('git@git.example.com:x', undefined, odd), ['git@git.example.com'])
    expect(options.get('userknownhostsfile')).toBe(odd)
    await expect(remoteOf('git@git.example.com:x', undefined, '/a/$' + '{HOME}/b').gitEnvironment()).rejects.toThrow(
      'file name',
    )
  })
})

it('writes nothing of a credential when it is not used', async () => {
  const { root } = await makeTeam()
  const remote = new RemoteAccess(
    {
      repository: checkRepositoryUrl('git@git.example.com:x', { allowLoopback: false }),
      allowLoopback: false,
      knownHosts: path.join(root, 'known_hosts'),
      resolve: async () => ['10.0.0.1'],
    },
    { kind: 'ssh-key', privateKey: 'x' },
  )
  await expect(remote.gitEnvironment()).rejects.toThrow('10.0.0.1')
  await remote.close()
  await removeDirectories()
})
