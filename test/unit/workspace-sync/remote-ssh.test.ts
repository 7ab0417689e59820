import { execFile, execFileSync, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import ssh2 from 'ssh2'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWorkspaceSync } from '../../../container-images/workspace-sync/src/git/workspace-sync.ts'
import { RemoteAccess } from '../../../container-images/workspace-sync/src/remote/remote-access.ts'
import type { GitCredential } from '../../../shared/contracts/link.ts'
import { makeTeam, removeDirectories } from './sync-fixture.ts'

const { Server, utils } = ssh2
const ours = utils.generateKeyPairSync('ed25519')
const hostKeys = [utils.generateKeyPairSync('ed25519'), utils.generateKeyPairSync('ed25519')] as const

let root: string
let server: ssh2.Server | undefined
const commands: string[] = []
const users: string[] = []

beforeEach(async () => {
  root = (await makeTeam()).root
  execFileSync('git', ['init', '--quiet', '--bare', path.join(root, 'x.git')])
})
afterEach(async () => {
  await stop()
  commands.length = 0
  users.length = 0
  await removeDirectories()
})

async function stop(): Promise<void> {
  const running = server
  server = undefined
  if (running) await new Promise<void>((resolve) => running.close(() => resolve()))
}

/** An ssh server on this machine that lets our key in and runs git for it. */
async function start(hostKey: string, port = 0): Promise<number> {
  const allowed = utils.parseKey(ours.public)
  if (allowed instanceof Error) throw allowed
  const started = new Server({ hostKeys: [hostKey] }, (client) => {
    client.on('error', () => undefined)
    client.on('authentication', (context) => {
      if (context.method !== 'publickey' || !context.key.data.equals(allowed.getPublicSSH()))
        return context.reject(['publickey'])
      users.push(context.username)
      context.accept()
    })
    client.on('session', (accept) =>
      accept().on('exec', (acceptExec, _, { command }) => {
        commands.push(command)
        const stream = acceptExec()
        const child = spawn('git', ['upload-pack', path.join(root, 'x.git')])
        child.stdout.pipe(stream, { end: false })
        stream.pipe(child.stdin)
        child.on('close', (code) => {
          stream.exit(code ?? 1)
          stream.end()
        })
      }),
    )
  })
  server = started
  await new Promise<void>((resolve) => started.listen(port, '127.0.0.1', () => resolve()))
  return (started.address() as AddressInfo).port
}

const KEY = { kind: 'ssh-key', privateKey: ours.private } as const satisfies GitCredential

/** A name that only the checked address leads to this machine: it does not exist. */
const access = (port: number, credential?: GitCredential) =>
  new RemoteAccess(
    {
      repository: {
        url: `ssh://deploy@git.example.com:${port}/x.git`,
        shown: '',
        transport: 'ssh',
        user: 'deploy',
        host: 'git.example.com',
        port,
      },
      allowLoopback: true,
      knownHosts: path.join(root, 'known_hosts'),
      resolve: async () => ['127.0.0.1'],
    },
    credential,
  )

async function lsRemote(remote: RemoteAccess): Promise<void> {
  try {
    const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', LC_ALL: 'C', ...(await remote.gitEnvironment()) }
    await promisify(execFile)('git', ['ls-remote', remote.url], { env, timeout: 20_000 })
  } finally {
    await remote.close()
  }
}

describe('git over ssh', () => {
  it('reaches the checked address with the key, and keeps the host key that it saw first', async () => {
    const port = await start(hostKeys[0].private)
    await lsRemote(access(port, KEY))
    expect(users).toContain('deploy')
    expect(commands).toEqual(["git-upload-pack '/x.git'"])
    expect(await readFile(path.join(root, 'known_hosts'), 'utf8')).toContain(`[git.example.com]:${port} ssh-ed25519`)
    await lsRemote(access(port, KEY))
    await stop()
    await start(hostKeys[1].private, port)
    await expect(lsRemote(access(port, KEY))).rejects.toThrow('Host key verification failed')
    expect(commands).toHaveLength(2)
  })

  it('speaks to no host whose key is not the given one', async () => {
    const port = await start(hostKeys[0].private)
    const known = (publicKey: string) => `[git.example.com]:${port} ${publicKey}`
    await lsRemote(access(port, { ...KEY, knownHosts: known(hostKeys[0].public) }))
    for (const knownHosts of [known(hostKeys[1].public), ''])
      await expect(lsRemote(access(port, { ...KEY, knownHosts }))).rejects.toThrow('Host key verification failed')
    expect(commands).toHaveLength(1)
  })

  it('asks nobody for a password, without a key and with a wrong one', async () => {
    const port = await start(hostKeys[0].private)
    await expect(lsRemote(access(port))).rejects.toThrow('Permission denied (publickey)')
    const wrong = utils.generateKeyPairSync('ed25519').private
    await expect(lsRemote(access(port, { kind: 'ssh-key', privateKey: wrong }))).rejects.toThrow('Permission denied')
    expect(commands).toEqual([])
  })
})

describe('what members are told when it fails', () => {
  /** As the engine reports it and the program explains it. */
  async function told(remote: RemoteAccess): Promise<string> {
    const repository = { url: remote.url, gitEnvironment: () => remote.gitEnvironment() }
    const ended = new AbortController()
    const details: (string | undefined)[] = []
    const sync = createWorkspaceSync({
      root: (await makeTeam()).root,
      repository,
      authors: async () => [],
      report: ({ detail }) => void details.push(detail),
      clock: { now: () => new Date() },
      log: () => undefined,
      signal: ended.signal,
    })
    try {
      await expect(sync.prepare()).rejects.toThrow()
      return remote.explain(details.at(-1) ?? '')
    } finally {
      ended.abort()
      await remote.close()
    }
  }

  it('is what ssh says, and whose key it is about', async () => {
    const port = await start(hostKeys[0].private)
    expect(await told(access(port))).toBe(
      'git ls-remote: the remote asks for a deploy key, and the team has stored none: Permission denied (publickey)',
    )
    const wrong: GitCredential = { kind: 'ssh-key', privateKey: utils.generateKeyPairSync('ed25519').private }
    expect(await told(access(port, wrong))).toBe(
      "git ls-remote: the remote refused the team's deploy key: Permission denied (publickey)",
    )
    const broken = KEY.privateKey.replace(/\n.{20}/, '\n')
    expect(await told(access(port, { kind: 'ssh-key', privateKey: broken }))).toMatch(
      /^git ls-remote: the team's deploy key cannot be read: [^/]+$/,
    )
    const known = `[git.example.com]:${port} ${hostKeys[1].public}`
    expect(await told(access(port, { ...KEY, knownHosts: known }))).toContain('Host key verification failed')
  })

  it('is that nobody answers', async () => {
    const port = await start(hostKeys[0].private)
    await stop()
    expect(await told(access(port, KEY))).toMatch(/^git ls-remote: ssh: connect to host .*: Connection refused$/)
  })
})
