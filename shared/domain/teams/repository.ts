import { checkRepositoryUrl, RepositoryUrlError } from '../../contracts/repository-url.ts'
import { BadRequest, Conflict } from '../errors.ts'
import type { Profile } from '../profiles/schema.ts'

/** A team's repository, as far as it is known: `known` is the existing server's word, which counts more than what a body names. */
export interface TeamRepository {
  readonly url: string | null
  readonly known: boolean
}

/** The team's repository; one that a body names must be the same, when the team's is known. @throws Conflict */
export function teamRepository(
  named: string | null,
  profile: Pick<Profile, 'known' | 'repositoryUrl'>,
): TeamRepository {
  if (!profile.known) return { url: named, known: false }
  if (named !== null && (profile.repositoryUrl === null || !sameRepository(named, profile.repositoryUrl)))
    throw anotherRepository()
  return { url: profile.repositoryUrl, known: true }
}

export const anotherRepository = (): Conflict =>
  new Conflict("repositoryUrl is not the team's repository", [
    { field: 'repositoryUrl', message: "another repository than the team's" },
  ])

export const sameRepository = (a: string, b: string): boolean => normalRepository(a) === normalRepository(b)
const normalRepository = (url: string): string =>
  url
    .trim()
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')

/**
 * The repository that a team's environment has from now on: the known one; else the one it has, or the one that is named first.
 * @throws Conflict when another one is named.
 */
export function repositoryOf(current: string | null, { url, known }: TeamRepository): string | null {
  if (known) return url !== null && current !== null && sameRepository(url, current) ? current : url
  if (current === null || url === null) return current ?? url
  if (!sameRepository(url, current)) throw anotherRepository()
  return current
}

/** @throws BadRequest that says what is wrong with it. */
export function checkRepository(url: string, allowLoopback: boolean): void {
  try {
    checkRepositoryUrl(url, { allowLoopback })
  } catch (error) {
    if (!(error instanceof RepositoryUrlError)) throw error
    throw new BadRequest(error.message, [{ field: 'repositoryUrl', message: error.message }])
  }
}
