import * as z from 'zod'
import { CONTAINER_ENV } from '../../../shared/contracts/link.ts'
import { type ContainerSettings, takeContainerSettings } from '../../common/src/settings.ts'

export type SyncSettings = ContainerSettings & {
  /** All of the team's files, `TEAM_FILES` below it. */
  readonly teamRoot: string
}

/** Reads workspace sync's settings and takes the ticket out of `env`. Throws `SettingsError`. */
export function takeSettings(env: NodeJS.ProcessEnv): SyncSettings {
  const { more, ...common } = takeContainerSettings(env, {
    [CONTAINER_ENV.teamRoot]: z.string().startsWith('/').default('/team'),
  })
  return { ...common, teamRoot: more[CONTAINER_ENV.teamRoot] }
}
