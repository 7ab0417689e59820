import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Cursors,
  cursorsOf,
  decodeOffset,
  encodeOffset,
  movedTo,
  rewound,
} from '../../../shared/domain/realtime/cursors.ts'
import {
  newSession,
  type Session,
  subscribed,
  unsubscribed,
  withReplies,
} from '../../../shared/domain/realtime/session.ts'

const session = (fields: Partial<Session> = {}): Session => ({
  ...newSession({ sid: 's', tag: 'tag-_1', now: 0, transport: 'polling' }),
  ...fields,
})
const watching = (current: Session, agentId: string, at = 1): Session => {
  const next = subscribed(current, agentId, { at, isOwner: true, position: 0 })
  if (!next) throw new Error('not subscribed')
  return next
}

describe('offsets', () => {
  it('carry every cursor there and back', () => {
    const nat = fc.nat(2 ** 50)
    const terminals = fc.uniqueArray(fc.record({ index: fc.nat(10_000), position: nat }), { selector: (t) => t.index })
    fc.assert(
      fc.property(nat, fc.option(nat, { nil: undefined }), terminals, fc.nat(5), (reply, team, list, split) => {
        const places = list.map((place, i) => [`agent-${i}`, place] as const)
        const cursors: Cursors = {
          reply,
          ...(team === undefined ? {} : { team }),
          terminals: Object.fromEntries(places.slice(0, split)),
          outputs: Object.fromEntries(places.slice(split)),
        }
        expect(decodeOffset('tag-_1', encodeOffset('tag-_1', cursors))).toEqual({
          reply,
          ...(team === undefined ? {} : { team }),
          terminals: new Map(list.map(({ index, position }) => [index, position])),
        })
        expect(decodeOffset('tag-_2', encodeOffset('tag-_1', cursors))).toBeUndefined()
      }),
    )
  })

  it('are nothing when they are nonsense', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(decodeOffset('tag', value)).toBeUndefined()
      }),
    )
    for (const text of [
      'tag',
      'tag..',
      'tag.1',
      'tag.1.2.3',
      'tag.1.2.3-',
      'tag.1.2.a-b-c',
      'tag.1.2..',
      'tag.-1.2.',
    ]) {
      expect(decodeOffset('tag', text)).toBeUndefined()
    }
  })
})

describe('rewinding to what a client has', () => {
  const base = { ...watching(session(), 'a'), team: { start: 5, position: 9 } }
  const at = (team: number, position: number): Session =>
    movedTo(base, { reply: 0, team, terminals: { a: { index: 0, position } }, outputs: {} })
  const offsetOf = (current: Session) => decodeOffset(current.tag, encodeOffset(current.tag, cursorsOf(current)))

  it('goes back to the offset', () => {
    expect(rewound(at(9, 100), offsetOf(at(7, 40)))).toEqual(at(7, 40))
  })

  it('goes back to the beginning of each stream without one', () => {
    expect(rewound(at(9, 100), undefined)).toEqual(at(5, 0))
  })

  it('goes neither before the beginning nor beyond what was sent', () => {
    expect(rewound(at(9, 100), offsetOf(at(1, 0)))).toEqual(at(5, 0))
    expect(rewound(at(9, 100), offsetOf(at(1_000, 1_000)))).toEqual(at(9, 100))
  })

  it('begins a terminal anew that was opened again after the offset was given', () => {
    const before = offsetOf(at(9, 100))
    const again = movedTo(watching(at(9, 100), 'a', 2), {
      reply: 0,
      team: 9,
      terminals: { a: { index: 1, position: 60 } },
      outputs: {},
    })
    expect(rewound(again, before).terminals.a).toMatchObject({ index: 1, position: 0 })
  })
})

describe('moving cursors', () => {
  it('leaves alone what was subscribed after they were taken', () => {
    const before = watching(session(), 'a')
    const cursors = { ...cursorsOf(before), terminals: { a: { index: 0, position: 50 } } }
    expect(movedTo(watching(before, 'a', 2), cursors).terminals.a).toMatchObject({ index: 1, position: 0 })
    expect(movedTo(before, cursors).terminals.a).toMatchObject({ index: 0, position: 50 })
  })
})

describe('terminal_connect and terminal_disconnect, in whatever order they are handled', () => {
  it('end as the gateway received them', () => {
    const connect = (at: number) => (current: Session) =>
      subscribed(current, 'a', { at, isOwner: true, position: 0 }) ?? current
    const disconnect = (at: number) => (current: Session) => unsubscribed(current, 'a', at)
    const steps = [connect(1), disconnect(2), connect(3), disconnect(4), connect(5)]
    fc.assert(
      fc.property(fc.shuffledSubarray(steps, { minLength: 5, maxLength: 5 }), fc.boolean(), (shuffled, isOpen) => {
        const handled = isOpen ? shuffled : shuffled.filter((step) => step !== steps[4])
        const result = handled.reduce((current, step) => step(current), session())
        expect('a' in result.terminals).toBe(isOpen)
      }),
    )
  })

  it('keep 32 terminals, the newest', () => {
    const all = Array.from({ length: 40 }, (_, i) => `agent-${i}`)
    const result = all.reduce((current, id, at) => watching(current, id, at), session())
    expect(Object.keys(result.terminals).sort()).toEqual(all.slice(8).sort())
  })
})

describe('replies', () => {
  it('are refused when too many are left unread', () => {
    let current: Session | undefined = session()
    let count = 0
    while (current) {
      current = withReplies(current, [{ event: ['error', { message: 'no' }] }])
      if (current) count++
    }
    expect(count).toBe(64)
    expect(withReplies(session(), [{ packet: 'x'.repeat(60_000) }])).toBeUndefined()
  })

  it('are kept for a resume only up to a bound', () => {
    let current = session()
    for (let i = 0; i < 100; i++) {
      const next = withReplies(current, [{ event: ['error', { message: `${i}` }] }])
      if (!next) throw new Error('refused')
      current = movedTo(next, { ...cursorsOf(next), reply: next.replies.last })
    }
    expect(current.replies.kept.length).toBeLessThanOrEqual(17)
    expect(rewound(current, undefined).replies.sent).toBe(100 - current.replies.kept.length)
  })
})
