/** Team environments of the running product, as members and operators see them. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DescribeAccessPointsCommand, EFSClient } from '@aws-sdk/client-efs'
import { GetRoleCommand, IAMClient, ListRolesCommand } from '@aws-sdk/client-iam'
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager'
import { expect, vi } from 'vitest'
import {
  type TeamContainer,
  type TeamEnvironmentView,
  TeamEnvironmentViewSchema,
} from '../../shared/contracts/environments.ts'
import { TEAM_FILES } from '../../shared/contracts/link.ts'
import type { Product, TestMember } from './product.ts'

/** Milliseconds in which a container starts, clones and is told of; far above what it takes. */
export const SOON = { timeout: 60_000, interval: 200 } as const

export async function environmentOf(member: TestMember): Promise<TeamEnvironmentView> {
  const { status, body } = await member.call('GET', `/api/environments/${member.teamId}`)
  expect(status).toBe(200)
  return TeamEnvironmentViewSchema.parse(body)
}

/** Resolves with the environment once `fits`; rejects with what it is instead. */
export const environmentThat = (member: TestMember, fits: (view: TeamEnvironmentView) => boolean) =>
  vi.waitFor(async () => {
    const view = await environmentOf(member)
    if (!fits(view)) throw new Error(`the environment is ${JSON.stringify(view)}`)
    return view
  }, SOON)

export const syncOf = (view: TeamEnvironmentView): TeamContainer | undefined =>
  view.containers.find(({ kind }) => kind === 'workspace-sync')

/** The team's environment with this repository, once workspace sync says that it is in step. */
export async function withWorkspace(member: TestMember, repositoryUrl?: string): Promise<TeamEnvironmentView> {
  const created = await member.call('POST', '/api/environments', { teamId: member.teamId, repositoryUrl })
  expect(created).toMatchObject({ status: 200, body: { success: true } })
  return environmentThat(member, ({ workspace }) => workspace?.state === 'synced')
}

const clientOf = (product: Product, service: string) => ({
  endpoint: product.runtime.endpoints[`AWS_ENDPOINT_URL_${service}`] ?? '',
  region: 'us-east-1',
  credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
})

/** Directory of a team's files on the file system of this product, from outside of every container. */
export function teamDirectory({ stateDir }: Product, teamId: string): string {
  const [fileSystem = ''] = readdirSync(join(stateDir, 'efs'))
  return join(stateDir, 'efs', fileSystem, 'teams', teamId)
}
export const workspaceOf = (product: Product, teamId: string): string =>
  join(teamDirectory(product, teamId), TEAM_FILES.workspace)

/** What there is of AWS's that was made for a team. */
export async function madeFor(
  product: Product,
  teamId: string,
): Promise<{ accessPoints: number; roles: number; secrets: number }> {
  const efs = new EFSClient(clientOf(product, 'EFS'))
  const iam = new IAMClient(clientOf(product, 'IAM'))
  const secrets = new SecretsManagerClient(clientOf(product, 'SECRETS_MANAGER'))
  const { AccessPoints = [] } = await efs.send(new DescribeAccessPointsCommand({}))
  const { Roles = [] } = await iam.send(new ListRolesCommand({ PathPrefix: '/covibes/' }))
  const tagged = await Promise.all(Roles.map(({ RoleName }) => iam.send(new GetRoleCommand({ RoleName }))))
  const { SecretList = [] } = await secrets.send(new ListSecretsCommand({}))
  for (const client of [efs, iam, secrets]) client.destroy()
  return {
    accessPoints: AccessPoints.filter(({ RootDirectory }) => RootDirectory?.Path?.split('/').includes(teamId)).length,
    roles: tagged.filter(({ Role }) => Role?.Tags?.some(({ Value }) => Value === teamId)).length,
    secrets: SecretList.filter(({ Name }) => Name?.split('/').includes(teamId)).length,
  }
}

/** Stores a team's git credentials, as `npm run team` does. */
export async function storeCredentials(product: Product, teamId: string, SecretString: string): Promise<void> {
  const client = new SecretsManagerClient(clientOf(product, 'SECRETS_MANAGER'))
  const Name = `covibes/local/teams/${teamId}/git-credentials`
  try {
    await client.send(new CreateSecretCommand({ Name, SecretString }))
  } catch (error) {
    if (!(error instanceof ResourceExistsException)) throw error
    await client.send(new PutSecretValueCommand({ SecretId: Name, SecretString }))
  }
  client.destroy()
}

/** What requests of the internal API are signed with. */
export async function internalSecret(product: Product): Promise<string> {
  const client = new SecretsManagerClient(clientOf(product, 'SECRETS_MANAGER'))
  const { SecretString = '' } = await client.send(
    new GetSecretValueCommand({ SecretId: 'covibes/local/internal-api-secret' }),
  )
  client.destroy()
  return SecretString
}
