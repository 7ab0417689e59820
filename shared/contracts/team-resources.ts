/**
 * Names and tags of what is made for each team at run time. CDK pins by them what may be made, passed and deleted; the adapters
 * that make it write the same.
 */

/** Kinds of tasks a team has. A family or role of a team is named `<TEAM_NAME_PREFIX><kind>-<hash of the team's id>`. */
export const TEAM_TASK_KINDS = ['agent', 'sync', 'preview'] as const
export type TeamTaskKind = (typeof TEAM_TASK_KINDS)[number]

/** The volume of every base task definition that becomes the team's access point in the team's own definition. */
export const WORKSPACE_VOLUME = 'workspace'

/**
 * Tags of access points, roles and task definitions of teams. Access points without `stage` can be neither made nor deleted;
 * `incarnation` tells what an interrupted step has made from what is left of an earlier environment of the same team.
 */
export const TEAM_TAGS = {
  /** The stage's name. */
  stage: 'covibes:stage',
  team: 'covibes:team',
  incarnation: 'covibes:incarnation',
  /** Roles: ARN of the one access point that the role may mount. */
  accessPoint: 'covibes:access-point',
} as const

/** Last parts of the names of a team's secrets: `<TEAM_SECRETS_PREFIX>/<teamId>/<name>`. Operators make them. */
export const TEAM_SECRETS = { modelKey: 'model-key', gitCredentials: 'git-credentials' } as const
