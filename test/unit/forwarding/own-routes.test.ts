import { describe, expect, it } from 'vitest'
import { routes } from '../../../shared/contracts/routes.ts'
import type { ForwardingFailed } from '../../../shared/domain/forwarding/errors.ts'
import { onlyForeign } from '../../../shared/domain/forwarding/own-routes.ts'

const answer = { status: 200, headers: {}, cookies: [], body: Buffer.alloc(0) }
const forward = onlyForeign(Object.values(routes), async () => answer)
const asked = (method: string, path: string) =>
  forward({ method, path, rawQuery: '', headers: {}, cookies: [], body: Buffer.alloc(0), host: '' }).then(
    () => 'forwarded',
    (error: ForwardingFailed) => error.failure,
  )

describe('onlyForeign', () => {
  it.each([
    ['POST', '/api/agents/spawn/'],
    ['POST', '/API/Agents/SPAWN'],
    ['POST', '//api//agents/spawn'],
    ['POST', '/api/x/../agents/./spawn'],
    ['POST', '/api/agents%2Fspawn'],
    ['POST', '/api\\agents\\spawn'],
    ['DELETE', '/api/agents/'],
    ['HEAD', '/api/agents'],
    ['GET', '/api/agents/some-id/'],
    ['GET', '/socket.io'],
    ['PUT', '/api/workspace/config/'],
  ])('does not let a route of ours through in disguise: %s %s', async (method, path) => {
    expect(await asked(method, path)).toBe('not-foreign')
  })

  it.each([
    ['GET', '/api/agents/spawn/more'],
    ['GET', '/api/agents/some-id/terminal-history'],
    ['DELETE', '/api/workspace/config'],
    ['POST', '/api/auth/me'],
    ['GET', '/api/github/status'],
    ['OPTIONS', '/api/agents/'],
    ['GET', '/'],
    ['GET', '/100%'],
  ])('lets through what is the existing server’s: %s %s', async (method, path) => {
    expect(await asked(method, path)).toBe('forwarded')
  })
})
