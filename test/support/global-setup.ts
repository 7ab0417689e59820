/** Before the end-to-end tests: the functions' bundles and the synthesized app, as `npm start` makes them. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
export const assemblyDirectory = join(root, '.build', 'cdk.test')

/** The scripted model of the tests listens here; the address is part of the synthesized app. */
export const MODEL_PORT = 21_999

const node = (script: string, env: Record<string, string> = {}) =>
  execFileSync(process.execPath, [join(root, script)], { cwd: root, env: { ...process.env, ...env }, stdio: 'pipe' })

/** The app as synthesized for one machine, with or without an existing server; `more` are further variables of the stage `local`. */
export function synthesize(outdir: string, legacyApiUrl = '', more: Readonly<Record<string, string>> = {}): void {
  node('infra/app.ts', {
    STAGE: 'local',
    CDK_OUTDIR: outdir,
    CDK_VALIDATION: 'false',
    MODEL_BASE_URL: `http://127.0.0.1:${MODEL_PORT}`,
    LEGACY_API_URL: legacyApiUrl,
    USE_DOCKER_AGENTS: '',
    ...more,
  })
}

export default function setup(): void {
  node('scripts/bundle-functions.ts')
  synthesize(assemblyDirectory)
}
