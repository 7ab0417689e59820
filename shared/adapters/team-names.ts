/** Names and tags of what is made for a team (contracts/team-resources.ts). */
import { createHash } from 'node:crypto'
import { TEAM_TAGS, type TeamTaskKind } from '../contracts/team-resources.ts'
import type { Owner } from '../domain/teams/ports.ts'

/** Hexadecimal digits of the team's hash: 96 bits, and a name that fits into IAM's 64 characters. */
const HASH_DIGITS = 24

/** Of a role or a task definition family: a team's id may be longer than what fits. */
export const teamResourceName = (prefix: string, kind: TeamTaskKind, teamId: string): string =>
  `${prefix}${kind}-${createHash('sha256').update(teamId).digest('hex').slice(0, HASH_DIGITS)}`

export const teamTags = ({ teamId, incarnation }: Owner, stage: string): Readonly<Record<string, string>> => ({
  [TEAM_TAGS.stage]: stage,
  [TEAM_TAGS.team]: teamId,
  [TEAM_TAGS.incarnation]: incarnation,
})
