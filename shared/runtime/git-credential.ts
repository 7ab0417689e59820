import { type GitCredential, GitCredentialSchema } from '../contracts/link.ts'
import { describeIssues } from './validation.ts'

const unusable = (problem: string) => ({ unusable: `The team's git credentials cannot be used: ${problem}` })

/** Reads what a team has stored as its git credentials. What is wrong with it is said without repeating any of it. */
export function parseGitCredential(text: string): { credential: GitCredential } | { unusable: string } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message would repeat the secret.
    return unusable('the secret must be JSON')
  }
  const parsed = GitCredentialSchema.safeParse(value)
  return parsed.success ? { credential: parsed.data } : unusable(describeIssues(parsed.error, 'the secret'))
}
