import { execFile, execFileSync, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import ssh2 from 'ssh2'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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

const KEY: GitCredential = { kind: 'ssh-key', privateKey: ours.private }

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
