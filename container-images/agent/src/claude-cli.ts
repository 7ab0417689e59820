import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'

/**
 * The `claude` executable of the installed `@anthropic-ai/claude-code`: the native package of this platform, which works
 * whether or not npm ran the wrapper's install script. Throws when the platform has none.
 */
export function claudeExecutable(): string {
  const name = `@anthropic-ai/claude-code-${process.platform}-${process.arch}`
  // A platform package is a dependency of the wrapper, so it is looked up from there.
  const wrapper = createRequire(import.meta.url).resolve('@anthropic-ai/claude-code/package.json')
  const manifest = createRequire(wrapper).resolve(`${name}/package.json`)
  return path.join(path.dirname(manifest), process.platform === 'win32' ? 'claude.exe' : 'claude')
}

export type ModelAccess = { readonly apiKey: string; readonly baseUrl?: string | undefined }

/** The variables that make the CLI use the team's key and nothing else of the network. */
export function claudeEnvironment(model: ModelAccess): Record<string, string> {
  return {
    ANTHROPIC_API_KEY: model.apiKey,
    ...(model.baseUrl ? { ANTHROPIC_BASE_URL: model.baseUrl } : {}),
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    // The CLI skips permission questions as root only when told that it is confined, which a container is.
    IS_SANDBOX: '1',
  }
}

/** HOME holds a configuration of the CLI that this program did not make. */
export class ForeignClaudeHome extends Error {
  constructor(home: string) {
    super(`${home}/.claude.json is somebody's own: give the agent a HOME of its own`)
    this.name = 'ForeignClaudeHome'
  }
}

/**
 * Writes the `.claude.json` with which the CLI asks nothing at its start: onboarding done, the key approved (by its last
 * 20 characters, as the CLI stores it), permissions bypassed, the workspace trusted. Rejects with `ForeignClaudeHome`
 * rather than change the configuration of a person who runs the agent as a plain process.
 */
export async function prepareClaudeHome(home: string, workspace: string, model: ModelAccess): Promise<void> {
  const config = path.join(home, '.claude.json')
  const marker = path.join(home, '.covibes-agent')
  if (existsSync(config) && !existsSync(marker)) throw new ForeignClaudeHome(home)
  await mkdir(home, { recursive: true })
  await writeFile(marker, 'The files of this directory were made for an agent.\n')
  const content = {
    hasCompletedOnboarding: true,
    customApiKeyResponses: { approved: [model.apiKey.slice(-20)], rejected: [] },
    bypassPermissionsModeAccepted: true,
    projects: { [workspace]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } },
  }
  await writeFile(config, JSON.stringify(content), { mode: 0o600 })
}
