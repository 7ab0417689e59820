/** Zod's findings in words for the person who sent the input. */
import type * as z from 'zod'
import { BadRequest, type ErrorDetail } from '../domain/errors.ts'

/** An answer names at most so many findings. */
const MAX_DETAILS = 20

type Issue = z.core.$ZodIssue

/** The branches of a failed union that say something about the value beside "other type", else all of them, joined by "or". */
function unionMessage(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const branches = issue.errors.filter((branch) => branch.length > 0)
  const telling = branches.filter((branch) => !branch.some((i) => i.code === 'invalid_type' && i.path.length === 0))
  const messages = (telling.length > 0 ? telling : branches).map((branch) => branch.map(messageOf).join(', '))
  return messages.length > 0 ? [...new Set(messages)].join(' or ') : issue.message
}

const messageOf = (issue: Issue): string => (issue.code === 'invalid_union' ? unionMessage(issue) : issue.message)

/** `root` names the whole input (`body`) where a finding is about all of it. Values are never repeated in a finding. */
export function detailsOf(error: z.ZodError, root: string): ErrorDetail[] {
  return error.issues.slice(0, MAX_DETAILS).map((issue) => ({
    field: issue.path.map(String).join('.') || root,
    message: messageOf(issue),
  }))
}

/** @throws BadRequest with a detail for each field that is wrong; its message names the first. */
export function parseInput<S extends z.ZodType>(schema: S, value: unknown, root: string): z.infer<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const details = detailsOf(parsed.error, root)
  const [first] = details
  throw new BadRequest(first ? `${first.field}: ${first.message}` : `Invalid ${root}`, details)
}

/** One line for a log: which fields of something that is not a person's input do not parse. */
export const describeIssues = (error: z.ZodError, root: string): string =>
  detailsOf(error, root)
    .map((detail) => `${detail.field}: ${detail.message}`)
    .join('; ')
