/**
 * `npm run team -- …`: what operators do to one team. Without `--stage` it is the control plane that `npm start` runs; with it,
 * the AWS account and region of the shell.
 */
import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager'
import * as z from 'zod'
import { TeamParamsSchema } from '../shared/contracts/environments.ts'
import { GitCredentialSchema } from '../shared/contracts/link.ts'
import { routes } from '../shared/contracts/routes.ts'
import { TEAM_SECRETS } from '../shared/contracts/team-resources.ts'

const USAGE = `npm run team -- remove TEAM            remove a team with all it has: containers, files, secrets, chat
npm run team -- git-credentials TEAM   store what the team's repository is shown, read from standard input: JSON,
                                       {"kind": "token", "token": "…"} or {"kind": "ssh-key", "privateKey": "…", "knownHosts": "…"}
npm run team -- model-key TEAM         store the team's model key, read from standard input
  --stage NAME   a deployed stage; with the credentials and region of this shell
  --api URL      its HTTP API, the output HttpApiUrl; for "remove"`

interface Target {
  readonly stage: string
  readonly api: string | undefined
  readonly secrets: SecretsManagerClient
}

const DevSchema = z.object({ apiUrl: z.url(), secretsManagerUrl: z.url() })

/** @throws when `npm start` does not run. */
function oneMachine(): Target {
  const file = join(import.meta.dirname, '..', '.local', 'dev.json')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new Error('No control plane found: run `npm start` first, or give --stage.')
  }
  const { apiUrl, secretsManagerUrl } = DevSchema.parse(JSON.parse(text))
  const credentials = { accessKeyId: 'operator', secretAccessKey: 'operator' }
  const secrets = new SecretsManagerClient({ endpoint: secretsManagerUrl, region: 'us-east-1', credentials })
  return { stage: 'local', api: apiUrl, secrets }
}

/** The headers that sign a request without a body (docs/operations.md). */
export function signature(method: string, path: string, secret: string, now = new Date()): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const digest = createHash('sha256').update('').digest('hex')
  const signed = createHmac('sha256', secret).update(`${timestamp}\n${method}\n${path}\n${digest}`).digest('hex')
  return { 'x-covibes-timestamp': timestamp, 'x-covibes-signature': signed }
}

async function remove(teamId: string, { stage, api, secrets }: Target): Promise<string> {
  if (!api) throw new Error('Give --api: the HTTP API of the stage, its output HttpApiUrl')
  const { method, path: pattern } = routes.removeTeam
  const path = pattern.replace('{teamId}', teamId)
  const SecretId = `covibes/${stage}/internal-api-secret`
  const { SecretString = '' } = await secrets.send(new GetSecretValueCommand({ SecretId }))
  const response = await fetch(new URL(path, api), { method, headers: signature(method, path, SecretString) })
  const answer = z.object({ message: z.string() }).safeParse(await response.json()).data
  if (!response.ok) throw new Error(`Refused (${response.status}): ${answer?.message ?? 'no reason given'}`)
  return `${teamId}: ${answer?.message ?? 'it is being removed'}`
}

async function store(teamId: string, name: string, { stage, secrets }: Target): Promise<string> {
  const value = (await text(process.stdin)).trim()
  if (value === '') throw new Error('Nothing came on standard input')
  if (name === TEAM_SECRETS.gitCredentials) checkCredentials(value)
  const Name = `covibes/${stage}/teams/${teamId}/${name}`
  try {
    await secrets.send(new CreateSecretCommand({ Name, SecretString: value }))
  } catch (error) {
    if (!(error instanceof ResourceExistsException)) throw error
    await secrets.send(new PutSecretValueCommand({ SecretId: Name, SecretString: value }))
  }
  return name === TEAM_SECRETS.gitCredentials
    ? `${Name} is stored; workspace sync has it from its next start or restart on`
    : `${Name} is stored; it counts within five minutes`
}

/** @throws without repeating anything of the value. */
function checkCredentials(value: string): void {
  let parsed: unknown
  try {
    parsed = JSON.parse(value)
  } catch {
    throw new Error('Git credentials must be JSON')
  }
  const checked = GitCredentialSchema.safeParse(parsed)
  if (!checked.success) throw new Error(`Not git credentials: ${z.prettifyError(checked.error)}`)
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { stage: { type: 'string' }, api: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  const [command = '', given = '', ...rest] = positionals
  const commands: Readonly<Record<string, (teamId: string, target: Target) => Promise<string>>> = {
    remove,
    [TEAM_SECRETS.gitCredentials]: (teamId, target) => store(teamId, TEAM_SECRETS.gitCredentials, target),
    [TEAM_SECRETS.modelKey]: (teamId, target) => store(teamId, TEAM_SECRETS.modelKey, target),
  }
  const run = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (values.help || !run || given === '' || rest.length > 0) {
    console.log(USAGE)
    process.exitCode = values.help ? 0 : 2
    return
  }
  const team = TeamParamsSchema.safeParse({ teamId: given })
  if (!team.success) throw new Error(`"${given}" is no team's id: ${team.error.issues[0]?.message ?? ''}`)
  const target = values.stage
    ? { stage: values.stage, api: values.api, secrets: new SecretsManagerClient({}) }
    : oneMachine()
  console.log(await run(team.data.teamId, target))
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
