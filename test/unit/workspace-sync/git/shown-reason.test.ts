import { expect, it } from 'vitest'
import { shownReason } from '../../../../container-images/workspace-sync/src/git/shown-reason.ts'

const NOT_READ = `fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
`

it.each([
  [
    'a key that is not let in',
    `Warning: Permanently added '[git.example.com]:22' (ED25519) to the list of known hosts.\r\ngit@git.example.com: Permission denied (publickey).\r\n${NOT_READ}`,
    'git@git.example.com: Permission denied (publickey).',
  ],
  [
    'a key that cannot be read',
    `Load key "/tmp/k/key": error in libcrypto\r\ngit@github.com: Permission denied (publickey).\r\n${NOT_READ}`,
    'Load key "/tmp/k/key": error in libcrypto; git@github.com: Permission denied (publickey).',
  ],
  [
    'a host whose key has changed',
    `@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Offending ED25519 key in /team/sync/known_hosts:1
Host key verification failed.
${NOT_READ}`,
    'WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; Host key verification failed.',
  ],
  [
    'a host that does not answer',
    `ssh: connect to host 203.0.113.9 port 22: Connection timed out\r\n${NOT_READ}`,
    'ssh: connect to host 203.0.113.9 port 22: Connection timed out',
  ],
  ['a repository that the key may not see', `ERROR: Repository not found.\n${NOT_READ}`, 'Repository not found.'],
  [
    'a key that may only read',
    `ERROR: The key you are authenticating with has been marked as read only.\n${NOT_READ}`,
    'The key you are authenticating with has been marked as read only.',
  ],
  [
    'a host that frames what it says',
    `remote: \nremote: =====\nremote: \nremote: ERROR: The project you were looking for could not be found.\nremote: \nremote: =====\n${NOT_READ}`,
    'The project you were looking for could not be found.',
  ],
  [
    'a host over https that explains itself',
    `remote: Write access to repository not granted.\nfatal: unable to access 'https://github.com/x/y/': The requested URL returned error: 403\n`,
    "Write access to repository not granted.; unable to access 'https://github.com/x/y/': The requested URL returned error: 403",
  ],
  [
    'a host over https that says no more',
    `fatal: unable to access 'https://github.com/x/y/': The requested URL returned error: 500\n`,
    "unable to access 'https://github.com/x/y/': The requested URL returned error: 500",
  ],
  [
    'a name that does not exist',
    `fatal: unable to access 'https://nowhere.example/x/': Could not resolve host: nowhere.example\n`,
    "unable to access 'https://nowhere.example/x/': Could not resolve host: nowhere.example",
  ],
  [
    'a folder that is none',
    `fatal: '/x.git' does not appear to be a git repository\n${NOT_READ}`,
    "'/x.git' does not appear to be a git repository",
  ],
  ['git itself', 'warning: x\nerror: bad tree object\nfatal: bad object HEAD\nhint: try again\n', 'bad object HEAD'],
  ['an answer without words', NOT_READ, 'Could not read from remote repository.'],
  ['nothing', '\n \n', ''],
])('of %s', (_, stderr, reason) => {
  expect(shownReason(stderr)).toBe(reason)
})

it('is one bounded line that steers no terminal', () => {
  const sent = `remote: ${'a'.repeat(250)}\nremote: \u001b[31mb${'b'.repeat(250)}\u0007\n${NOT_READ}`
  expect(shownReason(sent)).toBe('b'.repeat(251))
  expect(shownReason(`fatal: ${'x'.repeat(1000)}`)).toBe('x'.repeat(300))
})

it('takes no longer for blanks that a remote sends without end', () => {
  const blanks = ' '.repeat(400_000)
  expect(shownReason(`fatal: x${blanks}y`)).toBe(`x${blanks}`.slice(0, 300))
})
