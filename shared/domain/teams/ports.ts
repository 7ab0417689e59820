import type { TeamAccessPoint, TeamTaskKind } from '../../contracts/team-resources.ts'
import type { TeamEnvironment } from './schema.ts'

/** Items of teams' environments. Reads are strongly consistent; a write that lost a race is decided again. */
export interface TeamStore {
  get(teamId: string): Promise<TeamEnvironment | undefined>
  /** `created: false`: the team has one already, which is answered. */
  create(team: Omit<TeamEnvironment, 'revision'>): Promise<{ created: boolean; team: TeamEnvironment }>
  /**
   * `decide` is pure and may run more than once; undefined changes nothing. Answers the item after the call, undefined when
   * there is none. @throws Unavailable when it lost too many races.
   */
  change(
    teamId: string,
    decide: (team: TeamEnvironment) => TeamEnvironment | undefined,
  ): Promise<TeamEnvironment | undefined>
  /** Only this incarnation's; one that is gone already is no error. */
  remove(team: Pick<TeamEnvironment, 'teamId' | 'incarnation'>): Promise<void>
  /** Environments of all teams that are being removed, longest untouched first. */
  listRemoving(page: { cursor?: string }): Promise<{ teams: TeamEnvironment[]; cursor?: string }>

  /** Whether files of the team may lie on the file system, in whichever incarnation they were written. */
  hasFiles(teamId: string): Promise<boolean>
  setHasFiles(teamId: string, hasFiles: boolean): Promise<void>
  /** Deletes what is stored of a team beside its records and ledger: layout, chat. At most one page; true: nothing is left. */
  removeSettings(teamId: string): Promise<boolean>
}

/** AWS said no, and will say no again: the message is for a person. Every other error of these ports is worth a repeat. */
export class NotPossible extends Error {
  override readonly name = 'NotPossible'
}

/** Of which team and incarnation something is. */
export type Owner = Pick<TeamEnvironment, 'teamId' | 'incarnation'>

/** Ids or ARNs of a team's access points, of as many as are needed. */
export type PerAccessPoint = Readonly<Partial<Record<TeamAccessPoint, string>>>

/** EFS. Every call may be repeated; a repeat answers what the first has made. @throws NotPossible */
export interface AccessPoints {
  create(accessPoint: TeamAccessPoint, owner: Owner): Promise<{ id: string; arn: string; available: boolean }>
  /** False: it is still being made. @throws NotPossible when it is gone or broken. */
  isAvailable(id: string): Promise<boolean>
  /** One that is gone already is no error. */
  delete(id: string): Promise<void>
}

/** IAM. Every call may be repeated. @throws NotPossible */
export interface TeamRoles {
  /**
   * The role that may mount the kind's access points (TEAM_MOUNTS; given by their ARNs) and nothing else, with its policy. One that is
   * there gets the policy anew; one of another incarnation is not taken over.
   */
  create(kind: TeamTaskKind, owner: Owner, accessPointArns: PerAccessPoint): Promise<{ arn: string }>
  /** With its policy. One that is gone already, or another incarnation's, is left. */
  delete(kind: TeamTaskKind, owner: Owner): Promise<void>
}

/** ECS task definitions. @throws NotPossible */
export interface TaskDefinitions {
  /** ARN of the stage's own definition of this kind, as it is deployed now. */
  baseOf(kind: TeamTaskKind): string
  /** Name of the container in it. */
  containerOf(kind: TeamTaskKind): string
  /** Copies the base with the team's access points and role into a new revision of the team's family. */
  register(
    kind: TeamTaskKind,
    owner: Owner,
    made: { readonly accessPointIds: PerAccessPoint; readonly roleArn: string },
  ): Promise<{ arn: string; base: string }>
  /** Deregisters all revisions of the team's family but this one. */
  deregisterOthers(kind: TeamTaskKind, owner: Pick<Owner, 'teamId'>, keep?: string): Promise<void>
}

export interface TeamSecrets {
  /** Deletes every secret of the team, without a way back. Those that are gone already are no error. */
  deleteAll(teamId: string): Promise<void>
}
