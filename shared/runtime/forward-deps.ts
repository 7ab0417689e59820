/** What the functions in front of the existing server are made of. */
import { setTimeout } from 'node:timers/promises'
import { createAuthAnswerStore } from '../adapters/dynamodb/auth-answer-store.ts'
import { createProfileStore } from '../adapters/dynamodb/profile-store.ts'
import { createForward } from '../adapters/existing-server/forward.ts'
import { profileFromMe } from '../adapters/existing-server/profile-source.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { systemClock } from '../domain/clock.ts'
import type { AuthMeDeps } from '../domain/forwarding/auth-me.ts'
import { logger } from './logger.ts'

export function authMeDeps(env: FunctionEnv<'get-auth-me'>): AuthMeDeps {
  return {
    forward: createForward(env.LEGACY_API_URL),
    answers: createAuthAnswerStore(env.CONNECTIONS_TABLE),
    profiles: createProfileStore(env.CONNECTIONS_TABLE),
    profileOf: profileFromMe,
    clock: systemClock,
    log: logger,
    wait: async (ms, signal) => {
      // An aborted wait is over, too.
      await setTimeout(ms, undefined, { signal }).catch(() => undefined)
    },
  }
}
