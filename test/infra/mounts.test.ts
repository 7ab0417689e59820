/** Who may mount the teams' files, decided by the template's own policies as IAM and EFS decide it. */
import { describe, expect, it } from 'vitest'
import { loadAssembly } from '../../local/assembly/cloud-assembly.ts'
import { evaluate, type PolicyDocument, parsePolicy } from '../../local/iam/policy.ts'
import { assembled } from './support/synthesized.ts'

const assembly = assembled('local', (directory) =>
  loadAssembly(directory, { endpoints: { api: () => 'http://unused' } }),
)
const [fileSystem] = assembly.ofType('AWS::EFS::FileSystem')
const [boundaryPolicy] = assembly.ofType('AWS::IAM::ManagedPolicy')
if (fileSystem === undefined || boundaryPolicy === undefined) throw new Error('no file system or no boundary')
const ofFileSystem = parsePolicy(fileSystem.properties.FileSystemPolicy)
const boundary = parsePolicy(boundaryPolicy.properties.PolicyDocument)
const accessPoint = (id: string) => `arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/${id}`

const allow = (statement: object): PolicyDocument =>
  parsePolicy({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', ...statement }] })
/** As `on-work` writes it for each role (shared/adapters/iam/team-roles.ts). */
const mayMountOwn = allow({
  Action: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
  Resource: fileSystem.arn,
  Condition: { StringEquals: { 'elasticfilesystem:AccessPointArn': accessPoint('own') } },
})
/** A preview's: it reads the team's files through its own access point, and writes what it keeps through another one. */
const mayMountPreview = parsePolicy({
  Version: '2012-10-17',
  Statement: [
    { point: 'own', actions: ['elasticfilesystem:ClientMount'] },
    { point: 'cache', actions: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'] },
  ].map(({ point, actions }) => ({
    Effect: 'Allow',
    Action: actions,
    Resource: fileSystem.arn,
    Condition: { StringEquals: { 'elasticfilesystem:AccessPointArn': accessPoint(point) } },
  })),
})
const mayEverything = allow({ Action: '*', Resource: '*' })

interface Client {
  readonly action?: 'ClientMount' | 'ClientWrite' | 'ClientRootAccess'
  /** The role's own policy; without one the client shows no role. */
  readonly policy?: PolicyDocument
  readonly isTeams?: boolean
  readonly accessPoint?: string | undefined
  readonly tls?: boolean
  readonly mountTarget?: boolean
}

/** IAM User Guide, "Policy evaluation logic", for one account: a deny wins; else the resource's policy or, within the boundary, the role's. */
function isAllowed(client: Client): boolean {
  const { action = 'ClientMount', policy, isTeams = true, tls = true, mountTarget = true } = client
  const point = 'accessPoint' in client ? client.accessPoint : 'own'
  const request = {
    action: `elasticfilesystem:${action}`,
    resource: fileSystem?.arn ?? '',
    principal: policy
      ? ({ kind: 'role', arn: 'arn:aws:iam::000000000000:role/any', account: '000000000000' } as const)
      : ({ kind: 'anonymous' } as const),
    context: {
      'aws:securetransport': String(tls),
      'elasticfilesystem:accessedviamounttarget': String(mountTarget),
      ...(point === undefined ? {} : { 'elasticfilesystem:accesspointarn': accessPoint(point) }),
    },
  }
  const byFileSystem = evaluate(ofFileSystem, request, 'resource')
  const own = policy ? evaluate(policy, request, 'identity') : 'none'
  const within = isTeams ? evaluate(boundary, request, 'identity') : 'allow'
  if ([byFileSystem, own, within].includes('deny')) return false
  return byFileSystem === 'allow' || (own === 'allow' && within === 'allow')
}

describe("a role of a team's tasks", () => {
  it('mounts and writes through its own access point', () => {
    expect(isAllowed({ policy: mayMountOwn })).toBe(true)
    expect(isAllowed({ policy: mayMountOwn, action: 'ClientWrite' })).toBe(true)
  })

  it.each<[string, Client]>([
    ["through another team's", { accessPoint: 'other' }],
    ['through none', { accessPoint: undefined }],
    ['without TLS', { tls: false }],
    ['past the mount targets', { mountTarget: false }],
    ['as root', { action: 'ClientRootAccess' }],
  ])('mounts nothing %s', (_, client) => {
    expect(isAllowed({ policy: mayMountOwn, ...client })).toBe(false)
  })

  it('of previews writes the cache, and the files not at all', () => {
    const may = (client: Client) => isAllowed({ policy: mayMountPreview, ...client })
    expect(may({ accessPoint: 'own' })).toBe(true)
    expect(may({ accessPoint: 'own', action: 'ClientWrite' })).toBe(false)
    expect(may({ accessPoint: 'cache' })).toBe(true)
    expect(may({ accessPoint: 'cache', action: 'ClientWrite' })).toBe(true)
    expect(may({ accessPoint: 'other' })).toBe(false)
    for (const refused of [{ tls: false }, { mountTarget: false }, { action: 'ClientRootAccess' } as const])
      expect(may({ accessPoint: 'cache', ...refused })).toBe(false)
  })

  it("of agents does not get at the previews' cache", () => {
    expect(isAllowed({ policy: mayMountOwn, accessPoint: 'cache' })).toBe(false)
    expect(isAllowed({ policy: mayMountOwn, accessPoint: 'cache', action: 'ClientWrite' })).toBe(false)
  })

  it('is never root, whatever it is given', () => {
    expect(isAllowed({ policy: mayEverything })).toBe(true)
    expect(isAllowed({ policy: mayEverything, action: 'ClientRootAccess' })).toBe(false)
  })

  it('can be given nothing else', () => {
    for (const [action, resource] of [
      ['elasticfilesystem:ClientMount', fileSystem.arn.replace(/fs-\w+/, 'fs-other')],
      ['elasticfilesystem:DeleteFileSystem', fileSystem.arn],
      ['secretsmanager:GetSecretValue', 'arn:aws:secretsmanager:us-east-1:000000000000:secret:any-AbCdEf'],
      ['sts:AssumeRole', 'arn:aws:iam::000000000000:role/Admin'],
    ] as const) {
      const principal = { kind: 'role', arn: 'any', account: '000000000000' } as const
      const context = {
        'aws:securetransport': 'true',
        'elasticfilesystem:accessedviamounttarget': 'true',
        'elasticfilesystem:accesspointarn': accessPoint('own'),
      }
      expect(evaluate(boundary, { action, resource, principal, context }, 'identity')).toBe('none')
    }
  })
})

describe('who is no role of a team', () => {
  it('mounts nothing without a role', () => {
    expect(isAllowed({})).toBe(false)
  })

  it.each<[string, Client]>([
    ['without an access point', { accessPoint: undefined }],
    ['without TLS', { tls: false }],
    ['past the mount targets', { mountTarget: false }],
    ['as root', { action: 'ClientRootAccess' }],
  ])('mounts nothing %s, even one who may do everything', (_, client) => {
    expect(isAllowed({ policy: mayEverything, isTeams: false, ...client })).toBe(false)
  })
})
