import type { Actor } from '../actor.ts'
import { Forbidden } from '../errors.ts'

/** What is asked of a team is asked by its members. @throws Forbidden */
export function ofOwnTeam(teamId: string, { teamId: own }: Pick<Actor, 'teamId'>): void {
  if (teamId === own) return
  throw new Forbidden('teamId is not the team of your token', [{ field: 'teamId', message: 'another team' }])
}
