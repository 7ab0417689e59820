/**
 * EFS, IAM, task definitions and secrets for simulations. What goes wrong is chosen by the test: every call takes the next of
 * `faults`, `none` when there are no more.
 */
import type { TeamTaskKind } from '../../shared/contracts/team-resources.ts'
import {
  type AccessPoints,
  NotPossible,
  type Owner,
  type PerAccessPoint,
  type TaskDefinitions,
  type TeamRoles,
  type TeamSecrets,
} from '../../shared/domain/teams/ports.ts'

export const RESOURCE_FAULTS = ['none', 'throttled', 'answer-lost', 'refused'] as const
export type ResourceFault = (typeof RESOURCE_FAULTS)[number]

export class SimulatedTeamResources {
  /** By client token. */
  readonly accessPointsMade = new Map<string, { id: string; arn: string; teamId: string; looks: number }>()
  /** By name. */
  readonly rolesMade = new Map<string, { arn: string; incarnation: string; accessPointArns: PerAccessPoint }>()
  /** Active revisions, by ARN. */
  readonly revisions = new Map<string, { family: string; accessPointIds: PerAccessPoint; roleArn: string }>()
  readonly secretsOf = new Set<string>()
  readonly calls: string[] = []
  faults: ResourceFault[] = []
  bases: Record<TeamTaskKind, string> = { agent: 'agent:1', sync: 'sync:1', preview: 'preview:1' }
  /** How often an access point is looked at before it is available. */
  looksUntilAvailable = 0
  #ids = 0

  async #call<T>(name: string, effect: () => T): Promise<T> {
    this.calls.push(name)
    const fault = this.faults.shift() ?? 'none'
    if (fault === 'throttled') throw new Error(`${name}: Rate exceeded`)
    if (fault === 'refused') throw new NotPossible(`${name}: limit exceeded`)
    const answer = effect()
    if (fault === 'answer-lost') throw new Error(`${name}: timed out`)
    return answer
  }

  readonly accessPoints: AccessPoints = {
    create: (accessPoint, { teamId, incarnation }) =>
      this.#call('CreateAccessPoint', () => {
        const token = `${incarnation}-${accessPoint}`
        const id = `fsap-${this.#ids + 1}`
        const made = this.accessPointsMade.get(token) ?? {
          id,
          arn: `arn:${id}`,
          teamId,
          looks: this.looksUntilAvailable,
        }
        if (made.id === id) this.#ids++
        this.accessPointsMade.set(token, made)
        return { id: made.id, arn: made.arn, available: made.looks === 0 }
      }),
    isAvailable: (id) =>
      this.#call('DescribeAccessPoints', () => {
        const made = [...this.accessPointsMade.values()].find((each) => each.id === id)
        if (!made) throw new NotPossible(`no access point ${id}`)
        made.looks = Math.max(0, made.looks - 1)
        return made.looks === 0
      }),
    delete: (id) =>
      this.#call('DeleteAccessPoint', () => {
        for (const [token, made] of this.accessPointsMade) if (made.id === id) this.accessPointsMade.delete(token)
      }),
  }

  readonly roles: TeamRoles = {
    create: (kind, { teamId, incarnation }, accessPointArns) =>
      this.#call('CreateRole', () => {
        const name = `${kind}-${teamId}`
        const made = this.rolesMade.get(name)
        if (made && made.incarnation !== incarnation) throw new NotPossible('the role is of another incarnation')
        this.rolesMade.set(name, { arn: `arn:role/${name}`, incarnation, accessPointArns })
        return { arn: `arn:role/${name}` }
      }),
    delete: (kind, { teamId, incarnation }) =>
      this.#call('DeleteRole', () => {
        const name = `${kind}-${teamId}`
        if (this.rolesMade.get(name)?.incarnation === incarnation) this.rolesMade.delete(name)
      }),
  }

  readonly definitions: TaskDefinitions = {
    baseOf: (kind) => this.bases[kind],
    containerOf: (kind) => kind,
    register: (kind, owner, { accessPointIds, roleArn }) =>
      this.#call('RegisterTaskDefinition', () => {
        const family = familyOf(kind, owner)
        const arn = `${family}:${++this.#ids}`
        this.revisions.set(arn, { family, accessPointIds, roleArn })
        return { arn, base: this.bases[kind] }
      }),
    deregisterOthers: (kind, owner, keep) =>
      this.#call('DeregisterTaskDefinition', () => {
        for (const [arn, { family }] of this.revisions)
          if (family === familyOf(kind, owner) && arn !== keep) this.revisions.delete(arn)
      }),
  }

  readonly secrets: TeamSecrets = {
    deleteAll: (teamId) => this.#call('DeleteSecret', () => void this.secretsOf.delete(teamId)),
  }

  count(call: string): number {
    return this.calls.filter((each) => each === call).length
  }

  /** What is left of a team. */
  of(teamId: string): string[] {
    return [
      ...[...this.accessPointsMade.values()].filter((made) => made.teamId === teamId).map(({ id }) => id),
      ...[...this.rolesMade.keys()].filter((name) => name.endsWith(`-${teamId}`)),
      ...[...this.revisions.values()].filter(({ family }) => family.endsWith(`-${teamId}`)).map(({ family }) => family),
    ]
  }
}

const familyOf = (kind: TeamTaskKind, { teamId }: Pick<Owner, 'teamId'>) => `${kind}-${teamId}`
