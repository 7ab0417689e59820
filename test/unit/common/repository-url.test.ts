import { describe, expect, it } from 'vitest'
import { addressKind } from '../../../shared/contracts/network-address.ts'
import {
  checkRepositoryUrl,
  RepositoryUrlError,
  repositoryUrlSchema,
} from '../../../shared/contracts/repository-url.ts'

const check = (text: string) => checkRepositoryUrl(text, { allowLoopback: false })
const checkHere = (text: string) => checkRepositoryUrl(text, { allowLoopback: true })

/** What is wrong with a URL, as the error says it. */
function problemOf(text: string, allowLoopback = false): string {
  try {
    checkRepositoryUrl(text, { allowLoopback })
  } catch (error) {
    expect(error).toBeInstanceOf(RepositoryUrlError)
    return (error as Error).message
  }
  return 'none'
}

describe('a repository URL', () => {
  it('may be https, in the form that git gets', () => {
    expect(check('HTTPS://GitHub.com/team/x.git')).toEqual({
      url: 'https://github.com/team/x.git',
      shown: 'github.com/team/x.git',
      transport: 'https',
      user: '',
      host: 'github.com',
      port: 443,
    })
    expect(check('https://git.example.com:8443/a%20b/x').url).toBe('https://git.example.com:8443/a%20b/x')
    expect(check('https://example.com./x').url).toBe('https://example.com/x')
    expect(check('https://example.com:443/a/../x').url).toBe('https://example.com/x')
    expect(check('https://[2606:4700::1111]/x')).toMatchObject({
      url: 'https://[2606:4700::1111]/x',
      host: '2606:4700::1111',
    })
  })

  it('may be ssh, both ways of writing it', () => {
    expect(check('ssh://deploy@example.com:2222/x.git')).toEqual({
      url: 'ssh://deploy@example.com:2222/x.git',
      shown: 'example.com:2222/x.git',
      transport: 'ssh',
      user: 'deploy',
      host: 'example.com',
      port: 2222,
    })
    expect(check('ssh://example.com/~me/x').url).toBe('ssh://git@example.com/~me/x')
    expect(check('git@github.com:team/x.git')).toEqual({
      url: 'git@github.com:team/x.git',
      shown: 'github.com:team/x.git',
      transport: 'ssh',
      user: 'git',
      host: 'github.com',
      port: 22,
    })
  })

  it.each([
    ['', 'is empty'],
    [`https://example.com/${'x'.repeat(2048)}`, 'longer than 2048'],
    ['--upload-pack=touch /tmp/x', 'begins with a dash'],
    ['-oProxyCommand=x', 'begins with a dash'],
    ['ext::sh -c touch% /tmp/x', 'spaces'],
    ['ext::sh', 'helper'],
    ['fd::17', 'helper'],
    ['file:///etc/passwd', 'not over file'],
    ['git://example.com/x', 'not over git'],
    ['ftp://example.com/x', 'not over ftp'],
    ['http://example.com/x', 'not over http'],
    ['/etc/passwd', 'is no URL'],
    ['../x', 'is no URL'],
    ['example.com', 'is no URL'],
    ['https://', 'no host'],
    ['https:///example.com/x', 'no host'],
    ['ssh://git@/example.com/x', 'no host'],
    ['https://example.com', 'no path'],
    ['https://example.com/', 'no path'],
    ['https://example.com/x\n', 'control characters'],
    ['https://example.com/x\u0000', 'control characters'],
    ['https://example.com/x y', 'spaces'],
    ['https://example.com\\@evil.com/x', 'must be percent-encoded'],
    ['https://exämple.com/x', 'must be percent-encoded'],
    ['https://example.com/x%0aHost:%20y', 'encoded control'],
    ['ssh://git@example.com/x%00', 'encoded control'],
    ['https://example.com/x?service=y', 'query'],
    ['https://example.com/x#y', 'fragment'],
    ['https://example.com:22/x', 'Port 22'],
    ['https://example.com:0/x', 'Port 0'],
    ['ssh://git@example.com:25/x', 'Port 25'],
    ['https://example.com:65536/x', 'cannot be'],
    ['https://exa_mple.com/x', 'cannot be'],
    ['ssh://-oProxyCommand=x/y', 'cannot be'],
    ['ssh://git@-oProxyCommand/y', 'cannot be'],
    ['ssh://-oProxyCommand@example.com/y', 'not a plain name'],
    ['ssh://$(x)@example.com/y', 'not a plain name'],
    ['-oProxyCommand@example.com:y', 'begins with a dash'],
    ['git@-oProxyCommand:y', 'cannot be'],
    ['git@example.com:-x', 'path in the repository URL begins with a dash'],
    ['git@example.com:', 'no path'],
    ['example.com:team/x', 'names no user: write git@example.com:path'],
    ['https://localhost/x', 'this machine or network'],
    ['https://localhost./x', 'this machine or network'],
    ['https://a.localhost/x', 'this machine or network'],
    ['https://printer.local/x', 'this machine or network'],
    ['http://metadata.google.internal/x', 'this machine or network'],
    ['git@ip-10-0-0-1.ec2.internal:x', 'this machine or network'],
    ['https://intranet/x', 'this machine or network'],
    ['https://git/x', 'no dot'],
  ])('is refused: %j', (url, problem) => {
    expect(problemOf(url)).toContain(problem)
  })

  it.each([
    'https://user:hunter2@example.com/x',
    'https://hunter2@example.com/x',
    'ssh://git:hunter2@example.com/x',
    'user:hunter2@example.com:x',
  ])('is refused with a credential in it, which is not repeated: %s', (url) => {
    const problem = problemOf(url)
    expect(problem).not.toBe('none')
    expect(problem).not.toContain('hunter2')
  })

  const special = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0x7f.1',
    '127.0.0.1.',
    '0.0.0.0',
    '0',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '169.254.170.2',
    '0xa9fea9fe',
    '100.64.0.1',
    '198.18.0.1',
    '192.0.2.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:a9fe:a9fe]',
    '[::127.0.0.1]',
    '[64:ff9b::a9fe:a9fe]',
    '[2002:7f00:1::]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '[fec0::1]',
    '[ff02::1]',
    '[2001:db8::1]',
    '[4000::1]',
  ]
  it.each(special)('is refused with the special address %s, whatever the transport', (host) => {
    for (const url of [`https://${host}/x`, `ssh://git@${host}/x`, `git@${host}:x`])
      expect(problemOf(url)).toContain('not a public one')
  })

  it('is not refused beside the special ranges', () => {
    for (const host of [
      '172.32.0.1',
      '11.0.0.1',
      '100.128.0.1',
      '169.253.0.1',
      '[2a00::1]',
      'localhost.example.com',
      'local.dev',
    ])
      expect(problemOf(`https://${host}/x`)).toBe('none')
  })

  it('may name this machine where that is allowed, over http and at any port, and nothing else of the network', () => {
    expect(checkHere('http://127.0.0.1:81/x.git')).toMatchObject({
      url: 'http://127.0.0.1:81/x.git',
      port: 81,
      transport: 'http',
    })
    expect(checkHere('http://localhost/x').host).toBe('localhost')
    expect(checkHere('http://[::1]:3000/x').url).toBe('http://[::1]:3000/x')
    expect(checkHere('ssh://git@127.0.0.1:2222/x').port).toBe(2222)
    for (const host of ['10.0.0.1', '169.254.169.254', '[fe80::1]', 'printer.local'])
      expect(problemOf(`https://${host}/x`, true)).not.toBe('none')
    expect(problemOf('http://example.com/x', true)).toContain('not over http')
    expect(problemOf('file:///etc/passwd', true)).toContain('not over file')
  })

  it('is stable: what was checked passes again and stays as it is', () => {
    for (const url of [
      'https://Example.com/a/./b',
      'ssh://example.com:22/x',
      'git@example.com:~/x',
      'https://[2A00::1]/x',
    ]) {
      const once = check(url).url
      expect(check(once).url).toBe(once)
    }
  })

  it('has a schema with the same words', () => {
    const schema = repositoryUrlSchema({ allowLoopback: false })
    expect(schema.parse('https://GITHUB.com/x')).toBe('https://github.com/x')
    const { error } = schema.safeParse('https://127.0.0.1/x')
    expect(error?.issues).toEqual([expect.objectContaining({ message: problemOf('https://127.0.0.1/x') })])
  })
})

describe('the kind of an address', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:8.8.8.8', 'public'],
    ['127.8.8.8', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['fe80::1%eth0', 'special'],
    ['2606:4700::1111%eth0', 'special'],
    ['0x7f.1', 'special'],
    ['example.com', 'special'],
    ['', 'special'],
  ])('%s is %s', (address, kind) => {
    expect(addressKind(address)).toBe(kind)
  })
})
