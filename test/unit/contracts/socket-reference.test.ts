import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { clientEvents, serverEvents } from '../../../shared/contracts/socket-events.ts'
import { socketReference, withSocketReference } from '../../support/socket-reference.ts'

const PAGE = new URL('../../../docs/realtime.md', import.meta.url)

/** `WRITE_DOCS=1 npx vitest run test/unit/contracts` writes it anew. */
it('docs/realtime.md describes every event as the contracts have it', () => {
  const page = readFileSync(PAGE, 'utf8')
  const expected = withSocketReference(page)
  if (process.env.WRITE_DOCS) writeFileSync(PAGE, expected)
  else expect(page).toBe(expected)
})

it('the reference names every event, each with what it is for', () => {
  const lines = socketReference().split('\n')
  const described = lines.flatMap((line, i) => (line.startsWith('- **') && lines[i + 1]?.trim() ? [line] : []))
  const names = [...Object.keys(clientEvents), ...Object.keys(serverEvents)]
  expect(described.map((line) => /`([^`]+)`/.exec(line)?.[1])).toEqual(names)
})
