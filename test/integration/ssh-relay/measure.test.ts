import { expect, it } from 'vitest'
import { bridgeSide, measure, relaySide } from '../../../docs/spikes/ssh-relay/measure.ts'

const TERMINAL = 'terminal, nothing else happens'
const FLIP = 'terminal of an agent that runs on, flip to containers in the middle'
const WHOLE = '0 of 40 lost, 0 doubled, in order'

it('the bridge loses nothing over a flip, the relay all that follows', async () => {
  const measuring = { idleSeconds: 1, pieces: 40, patienceMs: 3_000 }
  const [relay, bridge] = await Promise.all([measure(relaySide, measuring), measure(bridgeSide, measuring)])
  expect(relay[TERMINAL]).toBe(WHOLE)
  expect(relay[FLIP]).toMatch(/^(19|2\d) of 40 lost, 0 doubled, in order$/)
  expect(bridge).toMatchObject({ [TERMINAL]: WHOLE, [FLIP]: WHOLE, 'disconnects by then': '0' })
  expect([relay['connections there, 4 sockets'], bridge['connections there, 4 sockets']]).toEqual(['4', '1'])
})
