import * as z from 'zod'
import { NETWORK_VARIABLES } from '../../../shared/contracts/network-variables.ts'
import { PREVIEW_ENV } from '../../../shared/contracts/preview-link.ts'
import { type ContainerSettings, takeContainerSettings } from '../../common/src/settings.ts'

export type PreviewSettings = ContainerSettings & {
  /** The team's shared files, read-only. */
  readonly shared: string
  /** The task's own disk. */
  readonly disk: string
  /** What is kept of package managers' caches: outlives the task. */
  readonly cache: string
  /** What package managers need to know of this machine. */
  readonly machine: Readonly<Record<string, string>>
}

const directory = z.string().startsWith('/')

/** Reads a preview's settings and takes the ticket out of `env`. Throws `SettingsError`. */
export function takeSettings(env: NodeJS.ProcessEnv): PreviewSettings {
  const { more, ...common } = takeContainerSettings(env, {
    [PREVIEW_ENV.shared]: directory.default('/workspaces'),
    [PREVIEW_ENV.disk]: directory.default('/preview'),
    [PREVIEW_ENV.cache]: directory.default('/cache'),
  })
  return {
    ...common,
    shared: more[PREVIEW_ENV.shared],
    disk: more[PREVIEW_ENV.disk],
    cache: more[PREVIEW_ENV.cache],
    machine: Object.fromEntries(
      NETWORK_VARIABLES.flatMap((name): [string, string][] => (env[name] ? [[name, env[name]]] : [])),
    ),
  }
}
