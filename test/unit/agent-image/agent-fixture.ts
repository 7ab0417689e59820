import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Agent, type AgentOptions } from '../../../container-images/agent/src/agent.ts'
import { type AgentSettings, childEnvironment } from '../../../container-images/agent/src/settings.ts'
import type { Timings } from '../../../container-images/agent/src/timings.ts'

/** Waits as short as a test on one machine can have them. */
export const QUICK: Partial<Timings> = {
  ackMs: 150,
  welcomeMs: 2_000,
  backoffMinMs: 2,
  backoffMaxMs: 20,
  drainMs: 10_000,
  closeMs: 1_000,
}

export type RunningAgent = {
  readonly agent: Agent
  readonly settings: AgentSettings
  /** The container's exit code. */
  readonly code: Promise<number>
  readonly logged: string[]
}

const directories: string[] = []

/** Directories made for tests so far are removed. */
export async function removeDirectories(): Promise<void> {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
}

export async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'covibes-agent-'))
  directories.push(directory)
  return directory
}

export async function makeSettings(url: string): Promise<AgentSettings> {
  const root = await makeDirectory()
  const workspace = path.join(root, 'workspace')
  await mkdir(workspace)
  return {
    environment: 'team-1/record-1/1',
    ticket: 'ticket',
    linkUrl: url,
    workspace,
    port: 0,
    host: '127.0.0.1',
    home: path.join(root, 'home'),
    path: process.env.PATH ?? '/usr/bin:/bin',
  }
}

/** Starts an agent in this process against a control plane at `url`. */
export async function startAgent(url: string, options: Partial<AgentOptions> = {}): Promise<RunningAgent> {
  const settings = options.settings ?? (await makeSettings(url))
  const logged: string[] = []
  const agent = new Agent({
    log: (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    ...options,
    settings,
    timings: { ...QUICK, ...options.timings },
  })
  return { agent, settings, code: agent.run(), logged }
}

/** Runs a program of the machine in the place of the agent's own. */
export function command(file: string, ...args: string[]): NonNullable<AgentOptions['command']> {
  return async (settings, { agent }) => ({
    file,
    args,
    cwd: settings.workspace,
    env: childEnvironment(settings, agent.name),
  })
}

/** What a terminal makes of a program's line breaks. */
export const onTerminal = (text: string): string => text.replaceAll('\n', '\r\n')
