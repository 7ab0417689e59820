/** What the functions of the preview API are made of. */
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { systemClock } from '../domain/clock.ts'
import type { AddressDeps } from '../domain/previews/addresses.ts'
import type { PreviewDeps, StartPreviewDeps } from '../domain/previews/operations.ts'
import { profilesOf } from './profile-deps.ts'
import { linkPosting } from './realtime-deps.ts'
import { teamDeps } from './team-deps.ts'

type LinkEnv = Pick<FunctionEnv<'open-preview'>, 'PREVIEW_ORIGIN_PATTERN' | 'PREVIEW_SECRET_ID'>

export function addressDeps(env: LinkEnv): AddressDeps {
  const secrets = createSecrets({ previewSecretId: env.PREVIEW_SECRET_ID })
  return {
    originPattern: env.PREVIEW_ORIGIN_PATTERN,
    secret: () => secrets.previewSecret(),
    clock: systemClock,
  }
}

export const previewDeps = (env: FunctionEnv<'stop-environment'>): PreviewDeps => ({
  ...teamDeps(env),
  ...linkPosting(env),
})

export const startPreviewDeps = (env: FunctionEnv<'create-preview'>): StartPreviewDeps & AddressDeps => ({
  ...previewDeps(env),
  ...addressDeps(env),
  profiles: profilesOf(env),
  allowLoopbackRepositories: env.ALLOW_LOOPBACK_REPOSITORIES === 'true',
})
