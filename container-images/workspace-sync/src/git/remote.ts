/** What is said to the remote: fetch, push, ask for its default branch. Never with force. */
import { FETCH } from './fetch.ts'
import { CLONE_MS } from './limits.ts'
import { type Git, GitError } from './run-git.ts'
import { type RemoteRepository, SyncProblem } from './types.ts'

async function environment(git: Git, remote: RemoteRepository): Promise<Readonly<Record<string, string>>> {
  try {
    return await git.waitForRemote(remote.gitEnvironment())
  } catch (error) {
    if (error instanceof SyncProblem) throw error
    throw new SyncProblem(`The remote cannot be used: ${(error as Error).message}`.slice(0, 400), 'unpushed')
  }
}

/** Brings `refs/remotes/origin/*` to what the remote has. Throws `SyncProblem`. */
export async function fetchRemote(git: Git, remote: RemoteRepository, first = false): Promise<void> {
  await git.run([...FETCH, '--prune', '--', remote.url, '+refs/heads/*:refs/remotes/origin/*'], {
    remote: true,
    env: await environment(git, remote),
    ...(first ? { timeoutMs: CLONE_MS } : {}),
  })
}

export type RemoteHead = {
  /** Undefined when the remote does not say, as an empty one. */
  readonly branch: string | undefined
  readonly empty: boolean
  readonly sha256: boolean
}

/** Asks before there is a repository of our own, too. */
export async function askDefaultBranch(git: Git, remote: RemoteRepository): Promise<RemoteHead> {
  const output = await git.text(['ls-remote', '--symref', '--', remote.url, 'HEAD', 'refs/heads/*'], {
    remote: true,
    env: await environment(git, remote),
  })
  const named = /^ref: refs\/heads\/(.+)\tHEAD$/m.exec(output)?.[1]
  const branches = [...output.matchAll(/^([0-9a-f]+)\trefs\/heads\/(.+)$/gm)]
  const sha256 = branches.some(([, oid]) => oid?.length === 64)
  if (branches.length === 0) return { branch: named, empty: true, sha256 }
  const names = branches.map(([, , name]) => name ?? '')
  // HEAD may name a branch that does not exist.
  const branch = [named, 'main', 'master'].find((name) => name !== undefined && names.includes(name)) ?? names[0]
  return { branch, empty: false, sha256 }
}

/** `moved`: the remote has something that is not here; `refused`: it does not want it, with its reason. */
export type PushOutcome = { readonly outcome: 'pushed' | 'moved' | 'refused'; readonly reason: string }

/** What a server says when two pushes met. */
const MEANWHILE = /failed to update ref|cannot lock ref|incorrect old value|reference already exists|failed to lock/i

/** Pushes commits to branches, each by itself. Throws `SyncProblem` when the remote gave no answer for them. */
export async function pushCommits(
  git: Git,
  remote: RemoteRepository,
  commits: ReadonlyMap<string, string>,
): Promise<Map<string, PushOutcome>> {
  const refspecs = [...commits].map(([branch, commit]) => `${commit}:refs/heads/${branch}`)
  const { code, stdout, stderr } = await git.run(
    ['push', '--porcelain', '--no-verify', '--no-signed', '--', remote.url, ...refspecs],
    { remote: true, env: await environment(git, remote), codes: [0, 1] },
  )
  const outcomes = new Map<string, PushOutcome>()
  for (const line of stdout.toString('utf8').split('\n')) {
    const [flag, refs = '', summary = ''] = line.split('\t')
    const branch = /:refs\/heads\/(.+)$/.exec(refs)?.[1]
    if (branch === undefined || !commits.has(branch)) continue
    outcomes.set(branch, flag === '!' ? rejection(summary, stderr) : { outcome: 'pushed', reason: '' })
  }
  if (code !== 0 && ![...outcomes.values()].some((one) => one.outcome !== 'pushed'))
    throw new GitError('The remote did not take what was pushed', 'unpushed', stderr)
  return outcomes
}

function rejection(summary: string, stderr: string): PushOutcome {
  const remoteSays = /^\[remote rejected\] \((.*)\)$/.exec(summary)?.[1]
  if (remoteSays === undefined || MEANWHILE.test(remoteSays)) return { outcome: 'moved', reason: summary }
  // Hosts explain themselves in lines of their own.
  const lines = [...stderr.matchAll(/^remote: *(?:error: *)?(\S.*)$/gm)]
    .map((match) => match[1]?.trimEnd() ?? '')
    .filter((line) => !line.startsWith('hook declined'))
  return { outcome: 'refused', reason: [remoteSays, ...lines].join('; ').slice(0, 250) }
}
