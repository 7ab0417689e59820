import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeDirectory } from './agent-fixture.ts'

const MAIN = fileURLToPath(new URL('../../../container-images/agent/src/main.ts', import.meta.url))

export type AgentProcess = {
  readonly child: ChildProcess
  readonly workspace: string
  readonly home: string
  /** How it ended, after the last of its output. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Its standard output and error so far. */
  output(): string
}

/** Runs the image's entry point as the container would, with an environment of its own. */
export async function startAgentProcess(url: string, env: Record<string, string> = {}): Promise<AgentProcess> {
  const root = await makeDirectory()
  const workspace = path.join(root, 'workspace')
  const home = path.join(root, 'home')
  await mkdir(home)
  await mkdir(workspace)
  const child = spawn(process.execPath, [MAIN], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: home,
      COVIBES_ENVIRONMENT: 'team-1/record-1/1',
      COVIBES_LINK_TICKET: 'ticket',
      COVIBES_LINK_URL: url,
      COVIBES_WORKSPACE: workspace,
      PORT: '0',
      HOST: '127.0.0.1',
      ECS_CONTAINER_METADATA_URI_V4: 'http://169.254.170.2/v4/secret',
      ...env,
    },
  })
  let output = ''
  child.stdout?.on('data', (text) => {
    output += text
  })
  child.stderr?.on('data', (text) => {
    output += text
  })
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  return { child, workspace, home, ended, output: () => output }
}
