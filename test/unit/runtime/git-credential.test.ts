import { describe, expect, it } from 'vitest'
import { parseGitCredential } from '../../../shared/runtime/git-credential.ts'

describe('git credentials', () => {
  it.each([
    ['{"kind":"token","token":"t"}', { kind: 'token', username: 'x-access-token', token: 't' }],
    ['{"kind":"token","username":"ann","token":"t"}', { kind: 'token', username: 'ann', token: 't' }],
    ['{"kind":"ssh-key","privateKey":"k","knownHosts":"h"}', { kind: 'ssh-key', privateKey: 'k', knownHosts: 'h' }],
  ])('%s', (text, credential) => {
    expect(parseGitCredential(text)).toEqual({ credential })
  })

  it.each([
    ['s3cret', 'the secret must be JSON'],
    ['"s3cret"', 'the secret:'],
    ['{"kind":"s3cret"}', 'kind:'],
    ['{"kind":"token","token":["s3cret"]}', 'token:'],
    ['{"kind":"ssh-key","s3cret":"s3cret"}', 'privateKey:'],
  ])('%s cannot be used, which is said without repeating it', (text, problem) => {
    const parsed = parseGitCredential(text)
    expect(parsed).toEqual({ unusable: expect.stringContaining(problem) })
    expect(JSON.stringify(parsed)).not.toContain('s3cret')
  })
})
