import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  changesOf,
  type MirrorChange,
  type Mirrored,
  type Observed,
  type Report,
} from '../../../docs/spikes/ssh-relay/mirror.ts'

const teamId = 'team-1'
const userId = 'ann'

function play(reports: readonly Report[]): { told: MirrorChange[]; known: Map<string, Mirrored> } {
  const known = new Map<string, Mirrored>()
  const told: MirrorChange[] = []
  for (const report of reports) {
    for (const change of changesOf(report, known)) {
      known.set(change.agent.id, change.agent)
      told.push(change)
    }
  }
  return { told, known }
}

const id = fc.constantFrom('a', 'b', 'c')
const status = fc.constantFrom('starting', 'running', 'completed', 'failed', 'killed', 'nonsense')
const observed: fc.Arbitrary<Observed> = fc.record({ id, userId: fc.constant(userId), status })
const report: fc.Arbitrary<Report> = fc.oneof(
  observed.map((agent): Report => ({ teamId, kind: 'spawned', agent })),
  fc.record({ agentId: id, status }).map((said): Report => ({ teamId, kind: 'status', ...said })),
  id.map((agentId): Report => ({ teamId, kind: 'deleted', agentId })),
  fc
    .uniqueArray(observed, { selector: (agent) => agent.id })
    .map((agents): Report => ({ teamId, kind: 'list', agents })),
  fc.constant<Report>({ teamId, kind: 'all-deleted' }),
)

describe('what reports change', () => {
  it('is nothing when each is repeated at once', () => {
    fc.assert(
      fc.property(fc.array(report), (reports) => {
        expect(play(reports.flatMap((one) => [one, one]))).toEqual(play(reports))
      }),
    )
  })

  it('tells of an agent once, first of all, and of nothing after its deletion; statuses only move on', () => {
    const rank: Record<string, number> = { starting: 0, running: 1, completed: 2, failed: 2, killed: 2 }
    fc.assert(
      fc.property(fc.array(report), (reports) => {
        const { told } = play(reports)
        for (const one of ['a', 'b', 'c']) {
          const story = told.filter(({ agent }) => agent.id === one)
          if (story.length === 0) continue
          expect(['spawned', 'forgotten']).toContain(story[0]?.kind)
          expect(story.slice(1).filter(({ kind }) => kind === 'spawned' || kind === 'forgotten')).toEqual([])
          expect(story.slice(0, -1).filter(({ agent }) => agent.deleted)).toEqual([])
          const ranks = story.filter(({ kind }) => kind !== 'deleted').map(({ agent }) => rank[agent.status] ?? -1)
          expect(ranks).toEqual([...new Set(ranks)].sort())
        }
      }),
    )
  })

  it('is a list, whatever was missed before it', () => {
    fc.assert(
      fc.property(
        fc.array(report),
        fc.uniqueArray(fc.record({ id: fc.constantFrom('x', 'y', 'z'), userId: fc.constant(userId), status }), {
          selector: (agent) => agent.id,
        }),
        (before, agents) => {
          const { known } = play([...before, { teamId, kind: 'list', agents }])
          const there = [...known.values()].filter(({ deleted }) => !deleted).map((agent) => agent.id)
          expect(there.sort()).toEqual(agents.map((agent) => agent.id).sort())
        },
      ),
    )
  })

  it('is no deletion when a full list names only the newest', () => {
    const agents = Array.from({ length: 50 }, (_, i) => ({ id: `agent-${i}`, userId, status: 'running' }))
    const old: Report = { teamId, kind: 'spawned', agent: { id: 'old', userId, status: 'running' } }
    expect(play([old, { teamId, kind: 'list', agents }]).known.get('old')?.deleted).toBe(false)
  })
})
