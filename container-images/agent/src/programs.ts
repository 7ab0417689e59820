import { realpath } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { LinkDown } from '../../../shared/contracts/link.ts'
import { claudeEnvironment, claudeExecutable, prepareClaudeHome } from './claude-cli.ts'
import { type AgentSettings, childEnvironment } from './settings.ts'
import type { TerminalCommand } from './terminal.ts'

export type Welcome = Extract<LinkDown, { type: 'welcome' }>

/** The team's settings do not allow this program to run; the message is for a person. */
export class ProgramUnavailable extends Error {
  override readonly name = 'ProgramUnavailable'
}

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/**
 * What runs in the terminal. `mock` is a small shell of our own. `claude` is the real CLI: with a task behind a renderer
 * that shows its progress and ends with its code, without one as the interactive program itself. Rejects with
 * `ProgramUnavailable` or `ForeignClaudeHome`.
 */
export async function programCommand(
  settings: Pick<AgentSettings, 'home' | 'path' | 'workspace' | 'extraCaCerts'>,
  { agent, model }: Pick<Welcome, 'agent' | 'model'>,
): Promise<TerminalCommand> {
  const cwd = settings.workspace
  if (agent.program === 'mock') {
    const args = [beside('mock-agent.ts'), ...(agent.task === '' ? [] : [agent.task])]
    return { file: process.execPath, args, cwd, env: childEnvironment(settings, agent.name) }
  }
  if (!model) throw new ProgramUnavailable('the team has no model key')
  // The CLI looks a trusted folder up by its real path.
  await prepareClaudeHome(settings.home, await realpath(cwd), model)
  const env = childEnvironment(settings, agent.name, claudeEnvironment(model))
  if (agent.task === '') return { file: claudeExecutable(), args: ['--dangerously-skip-permissions'], cwd, env }
  return { file: process.execPath, args: [beside('claude-task.ts'), agent.task], cwd, env }
}
