/**
 * Names and tags of what is made for each team at run time. CDK pins by them what may be made, passed and deleted; the adapters
 * that make it write the same.
 */

/** Kinds of tasks a team has. A family or role of a team is named `<TEAM_NAME_PREFIX><kind>-<hash of the team's id>`. */
export const TEAM_TASK_KINDS = ['agent', 'sync', 'preview'] as const
export type TeamTaskKind = (typeof TEAM_TASK_KINDS)[number]

/** The volume of every base task definition that becomes the kind's own access point in the team's own definition. */
export const WORKSPACE_VOLUME = 'workspace'
/** The volume of previews that becomes the access point `cache`. */
export const CACHE_VOLUME = 'cache'

/** Access points of a team: one for each kind of task, of what it sees of the team's files, and the cache of its previews. */
export const TEAM_ACCESS_POINTS = [...TEAM_TASK_KINDS, 'cache'] as const
export type TeamAccessPoint = (typeof TEAM_ACCESS_POINTS)[number]

export interface TeamMount {
  readonly volume: string
  readonly accessPoint: TeamAccessPoint
  /** False: EFS itself refuses writes, because the role has no ClientWrite for it, and the mount point is read-only. */
  readonly isWritable: boolean
}

/**
 * What each kind of task mounts: roles, definitions and mount points follow from it, and no role may mount anything else. A preview runs
 * the team's code and reads its files: what it may write is the cache of the team's previews, which no agent can reach.
 */
export const TEAM_MOUNTS: Readonly<Record<TeamTaskKind, readonly TeamMount[]>> = {
  agent: [{ volume: WORKSPACE_VOLUME, accessPoint: 'agent', isWritable: true }],
  sync: [{ volume: WORKSPACE_VOLUME, accessPoint: 'sync', isWritable: true }],
  preview: [
    { volume: WORKSPACE_VOLUME, accessPoint: 'preview', isWritable: false },
    { volume: CACHE_VOLUME, accessPoint: 'cache', isWritable: true },
  ],
}

/**
 * Tags of access points, roles and task definitions of teams. Access points without `stage` can be neither made nor deleted;
 * `incarnation` tells what an interrupted step has made from what is left of an earlier environment of the same team.
 */
export const TEAM_TAGS = {
  /** The stage's name. */
  stage: 'covibes:stage',
  team: 'covibes:team',
  incarnation: 'covibes:incarnation',
  /** Roles: ARN of the access point that is the kind's own. */
  accessPoint: 'covibes:access-point',
} as const

/** Last parts of the names of a team's secrets: `<TEAM_SECRETS_PREFIX>/<teamId>/<name>`. Operators make them. */
export const TEAM_SECRETS = { modelKey: 'model-key', gitCredentials: 'git-credentials' } as const
