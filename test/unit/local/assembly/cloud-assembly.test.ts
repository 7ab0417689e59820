// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax of Fn::Sub
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AssemblyOptions, type CloudAssembly, loadAssembly } from '../../../../local/assembly/cloud-assembly.ts'
import { nextDeployment } from '../../../../local/assembly/deployments.ts'

const endpoints: AssemblyOptions['endpoints'] = {
  api: (api, scheme) => `${scheme === 'wss' ? 'ws' : 'http'}://localhost/${api.logicalId}`,
  sqs: 'http://127.0.0.1:9324',
  app: () => 'http://127.0.0.1:3001',
  previewPort: () => 3002,
}

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'assembly-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function write(path: string, content: unknown): void {
  mkdirSync(join(directory, path, '..'), { recursive: true })
  writeFileSync(join(directory, path), JSON.stringify(content))
}

function load(stacks: Record<string, object>, options: Partial<AssemblyOptions> = {}): CloudAssembly {
  const artifacts: Record<string, object> = {}
  for (const [name, template] of Object.entries(stacks)) {
    write(`${name}.template.json`, template)
    artifacts[name] = { type: 'aws:cloudformation:stack', properties: { templateFile: `${name}.template.json` } }
  }
  write('manifest.json', { version: '1', artifacts })
  return loadAssembly(directory, { endpoints, ...options })
}

/** Resolves one expression as the property of a resource in a stack with some neighbours. */
function resolveOne(expression: unknown, template: object = {}, options: Partial<AssemblyOptions> = {}): unknown {
  const neighbours = {
    Table: { Type: 'AWS::DynamoDB::Table', Properties: { TableName: 'teams' } },
    Function: { Type: 'AWS::Lambda::Function' },
    Http: { Type: 'AWS::ApiGatewayV2::Api', Properties: { ProtocolType: 'HTTP' } },
    Socket: { Type: 'AWS::ApiGatewayV2::Api', Properties: { ProtocolType: 'WEBSOCKET' } },
    Jobs: { Type: 'AWS::SQS::Queue' },
    App: { Type: 'AWS::CloudFront::Distribution' },
  }
  const subject = { Type: 'Custom::Subject', Properties: { Value: expression } }
  const assembly = load({ App: { ...template, Resources: { ...neighbours, Subject: subject } } }, options)
  return assembly.resources.find((resource) => resource.logicalId === 'Subject')?.properties.Value
}

const socketUrl = (scheme: string) => ({
  'Fn::Join': [
    '',
    [
      `${scheme}://`,
      { Ref: 'Socket' },
      '.execute-api.',
      { Ref: 'AWS::Region' },
      '.',
      { Ref: 'AWS::URLSuffix' },
      '/live',
    ],
  ],
})

it('task definitions are of another revision in each deployment, and everything else is the same', () => {
  const resources = {
    Task: { Type: 'AWS::ECS::TaskDefinition', Properties: { Family: 'agent' } },
    Function: { Type: 'AWS::Lambda::Function', Properties: { Environment: { Ref: 'Task' } } },
  }
  const revisions = [undefined, 2].map((deployment) => {
    const assembly = load({ App: { Resources: resources } }, deployment === undefined ? {} : { deployment })
    const of = (type: string) => assembly.ofType(type)[0]
    expect(of('AWS::Lambda::Function')?.ref).toBe('App-Function')
    expect(of('AWS::Lambda::Function')?.properties.Environment).toBe(of('AWS::ECS::TaskDefinition')?.ref)
    return of('AWS::ECS::TaskDefinition')?.ref.split('/').at(-1)
  })
  expect(revisions).toEqual(['agent:1', 'agent:2'])
})

it('each start over a state folder is a deployment; a damaged count is no first one', async () => {
  expect([await nextDeployment(directory), await nextDeployment(directory)]).toEqual([1, 2])
  writeFileSync(join(directory, 'deployments.json'), '{"deployments": "many"}')
  await expect(nextDeployment(directory)).rejects.toThrow('deployments.json holds no count')
})

describe('intrinsic functions', () => {
  const template = {
    Parameters: { Size: { Type: 'Number', Default: 3 }, Zones: { Type: 'CommaDelimitedList', Default: 'a,b' } },
    Mappings: { Sizes: { small: { cpu: 256 } } },
    Conditions: {
      Never: { 'Fn::Equals': [{ Ref: 'Size' }, '4'] },
      Always: { 'Fn::Not': [{ Condition: 'Never' }] },
      Both: { 'Fn::And': [{ Condition: 'Always' }, { Condition: 'Never' }] },
      Either: { 'Fn::Or': [{ Condition: 'Always' }, { Condition: 'Never' }] },
    },
  }
  it.each([
    ['Ref of a named resource', { Ref: 'Table' }, 'teams'],
    ['Ref of an unnamed resource', { Ref: 'Function' }, 'App-Function'],
    ['Ref of a parameter', { Ref: 'Size' }, '3'],
    ['Ref of a list parameter', { Ref: 'Zones' }, ['a', 'b']],
    [
      'pseudo parameters',
      { 'Fn::Sub': '${AWS::Partition} ${AWS::AccountId} ${AWS::Region} ${AWS::StackName}' },
      'aws 000000000000 us-east-1 App',
    ],
    ['GetAtt', { 'Fn::GetAtt': ['Function', 'Arn'] }, 'arn:aws:lambda:us-east-1:000000000000:function:App-Function'],
    ['GetAtt as a string', { 'Fn::GetAtt': 'Table.Arn' }, 'arn:aws:dynamodb:us-east-1:000000000000:table/teams'],
    ['Join', { 'Fn::Join': ['-', ['a', { Ref: 'Table' }]] }, 'a-teams'],
    [
      'Sub',
      { 'Fn::Sub': '${Table}/${Function.Arn}/${!literal}' },
      'teams/arn:aws:lambda:us-east-1:000000000000:function:App-Function/${literal}',
    ],
    ['Sub with variables', { 'Fn::Sub': ['${x}-${Table}', { x: { Ref: 'Size' } }] }, '3-teams'],
    ['Select and Split', { 'Fn::Select': [1, { 'Fn::Split': ['/', 'a/b/c'] }] }, 'b'],
    ['FindInMap', { 'Fn::FindInMap': ['Sizes', 'small', 'cpu'] }, 256],
    ['Base64', { 'Fn::Base64': 'hé' }, Buffer.from('hé').toString('base64')],
    ['If', [{ 'Fn::If': ['Never', 1, 2] }, { 'Fn::If': ['Both', 1, 2] }, { 'Fn::If': ['Either', 1, 2] }], [2, 2, 1]],
    ['NoValue leaves out', { a: { Ref: 'AWS::NoValue' }, b: [{ Ref: 'AWS::NoValue' }, 1] }, { b: [1] }],
    ['ToJsonString and Length', { 'Fn::ToJsonString': { n: { 'Fn::Length': [1, 2] } } }, '{"n":2}'],
    [
      "an IAM statement's Condition",
      { Condition: { Bool: { 'aws:SecureTransport': 'true' } } },
      { Condition: { Bool: { 'aws:SecureTransport': 'true' } } },
    ],
  ])('%s', (_, expression, expected) => {
    expect(resolveOne(expression, template)).toEqual(expected)
  })

  it.each([
    [
      'an unsupported function',
      { deep: [{ 'Fn::Cidr': ['10.0.0.0/16', 2, 8] }] },
      'App.Subject.Properties.Value.deep[0]: Fn::Cidr is not supported',
    ],
    [
      'an unknown resource',
      { a: { Ref: 'Nowhere' } },
      'App.Subject.Properties.Value.a: there is no resource or parameter Nowhere',
    ],
    ['an unknown export', { 'Fn::ImportValue': 'x' }, 'App.Subject.Properties.Value: no stack exports x'],
    ['a missing element', { 'Fn::Select': [4, ['a']] }, 'there is no element 4'],
    ['an unknown condition', { 'Fn::If': ['Maybe', 1, 2] }, 'there is no condition Maybe'],
    ['a parameter without a value', { Ref: 'Needed' }, 'the parameter Needed has neither a value nor a default'],
  ])('%s throws with the path', (_, expression, message) => {
    const withParameter = { Parameters: { Needed: { Type: 'String' } } }
    expect(() => resolveOne(expression, withParameter)).toThrow(message)
  })

  it('takes a parameter from the options', () => {
    expect(resolveOne({ Ref: 'P' }, { Parameters: { P: { Type: 'String' } } }, { parameters: { P: 'given' } })).toBe(
      'given',
    )
  })
})

describe('local URLs', () => {
  it.each([
    ['a WebSocket URL', socketUrl('wss'), 'ws://localhost/Socket/live'],
    ['the management endpoint', socketUrl('https'), 'http://localhost/Socket/live'],
    ['an HTTP API', { 'Fn::GetAtt': ['Http', 'ApiEndpoint'] }, 'http://localhost/Http'],
    ['a WebSocket API', { 'Fn::GetAtt': ['Socket', 'ApiEndpoint'] }, 'ws://localhost/Socket'],
    ['a queue', { Ref: 'Jobs' }, 'http://127.0.0.1:9324/000000000000/App-Jobs'],
    ['the app', { 'Fn::Sub': 'https://${App.DomainName}' }, 'http://127.0.0.1:3001'],
    [
      'another distribution',
      'https://d111111abcdef8.cloudfront.net.example',
      'https://d111111abcdef8.cloudfront.net.example',
    ],
    ['previews', 'http://{label}.preview.localhost', 'http://{label}.preview.localhost:3002'],
    ['previews with a port', 'http://{label}.preview.localhost:80', 'http://{label}.preview.localhost:80'],
    ['previews elsewhere', 'https://{label}.preview.example.net', 'https://{label}.preview.example.net'],
    [
      "another account's API",
      'https://abcdefghij.execute-api.us-east-1.amazonaws.com/x',
      'https://abcdefghij.execute-api.us-east-1.amazonaws.com/x',
    ],
  ])('%s', (_, expression, expected) => {
    expect(resolveOne(expression)).toBe(expected)
  })

  it('keeps the AWS host while an expression takes a URL apart', () => {
    const host = { 'Fn::Select': [2, { 'Fn::Split': ['/', { 'Fn::GetAtt': ['Http', 'ApiEndpoint'] }] }] }
    expect(resolveOne(host)).toMatch(/^[a-z0-9]{10}\.execute-api\.us-east-1\.amazonaws\.com$/)
  })

  it('leaves dynamic references to a callback', () => {
    const expression = { 'Fn::Join': ['', ['{{resolve:secretsmanager:', { Ref: 'Table' }, ':SecretString:key::}}']] }
    const plain = '{{resolve:secretsmanager:teams:SecretString:key::}}'
    expect(resolveOne(expression)).toBe(plain)
    const resolveDynamicReference = (service: string, reference: string) => `${service}=${reference}`
    expect(resolveOne(expression, {}, { resolveDynamicReference })).toBe('secretsmanager=teams:SecretString:key::')
    expect(resolveOne(expression, {}, { resolveDynamicReference: () => undefined })).toBe(plain)
  })
})

describe('resources', () => {
  it('names a load balancer in the ARN of its listener, from which CDK reads it', () => {
    const balancer = { Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer', Properties: { Name: 'b' } }
    const listener = {
      Type: 'AWS::ElasticLoadBalancingV2::Listener',
      Properties: { LoadBalancerArn: { Ref: 'Balancer' } },
    }
    const template = { Resources: { Balancer: balancer, Listener: listener } }
    const [found, its] = load({ App: template }).resources
    const name = found?.attribute('LoadBalancerFullName')
    expect(found?.ref).toBe(`arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/${name}`)
    expect(name).toMatch(/^app\/b\/[0-9a-f]{16}$/)
    expect(its?.ref).toMatch(new RegExp(`:listener/${name}/[0-9a-f]{16}$`))
  })

  it('resolves values across stacks, whatever their order', () => {
    const assembly = load({
      Compute: {
        Resources: {
          Fn: { Type: 'AWS::Lambda::Function', Properties: { FunctionName: { 'Fn::ImportValue': 'Data:Name' } } },
        },
      },
      Data: {
        Resources: { Table: { Type: 'AWS::DynamoDB::GlobalTable' } },
        Outputs: { Name: { Value: { Ref: 'Table' }, Export: { Name: 'Data:Name' } }, Plain: { Value: 'v' } },
      },
    })
    expect(assembly.ofType('AWS::Lambda::Function')[0]?.ref).toBe('Data-Table')
    expect(assembly.outputs()).toEqual({ 'Data.Name': 'Data-Table', 'Data.Plain': 'v' })
    expect(assembly.find('arn:aws:dynamodb:us-east-1:000000000000:table/Data-Table')?.logicalId).toBe('Table')
  })

  it('leaves out a resource whose condition does not hold', () => {
    const Conditions = { No: { 'Fn::Equals': ['a', 'b'] } }
    const Resources = { Kept: { Type: 'AWS::SQS::Queue' }, Dropped: { Type: 'AWS::SQS::Queue', Condition: 'No' } }
    expect(load({ App: { Conditions, Resources } }).resources.map((resource) => resource.logicalId)).toEqual(['Kept'])
  })

  it('gives an unknown type a stable id and stable attributes', () => {
    const stacks = { App: { Resources: { Thing: { Type: 'Vendor::Thing' } } } }
    const [first, second] = [load(stacks), load(stacks)].map((assembly) => assembly.resources[0])
    expect(first?.ref).toBe(second?.ref)
    expect(first?.arn).toMatch(/^arn:aws:thing:us-east-1:000000000000:Arn\/Thing-/)
    expect(first?.attribute('Name')).toBe(`${first?.ref}.Name`)
  })

  it('shortens a generated name to the service limit without making two the same', () => {
    const long = 'L'.repeat(80)
    const Resources = {
      [`${long}A`]: { Type: 'AWS::Lambda::Function' },
      [`${long}B`]: { Type: 'AWS::Lambda::Function' },
    }
    const names = load({ App: { Resources } }).resources.map((resource) => resource.ref)
    expect(names.map((name) => name.length)).toEqual([64, 64])
    expect(new Set(names).size).toBe(2)
  })

  it('names a file that is missing or broken', () => {
    expect(() => loadAssembly(join(directory, 'none'), { endpoints })).toThrow(/none\/manifest\.json cannot be read/)
  })
})

describe('assets', () => {
  it('finds file and image assets, also those of a stage', () => {
    const files = {
      aa11: { source: { path: 'asset.aa11', packaging: 'zip' }, destinations: { x: { objectKey: 'aa11.zip' } } },
    }
    const source = { directory: 'asset.bb22', dockerFile: 'images/Dockerfile', dockerBuildArgs: { V: '1' } }
    const dockerImages = { bb22: { source, destinations: { x: { repositoryName: 'assets', imageTag: 'bb22' } } } }
    write('assembly-Live/manifest.json', {
      artifacts: { A: { type: 'cdk:asset-manifest', properties: { file: 'A.assets.json' } } },
    })
    write('assembly-Live/A.assets.json', { files, dockerImages })
    write('manifest.json', {
      artifacts: { Live: { type: 'cdk:cloud-assembly', properties: { directoryName: 'assembly-Live' } } },
    })
    const { assets } = loadAssembly(directory, { endpoints })
    const expected = { hash: 'aa11', path: join(directory, 'assembly-Live/asset.aa11'), packaging: 'zip' }
    expect(assets.file('aa11')).toEqual(expected)
    expect(assets.file('aa11.zip')).toEqual(expected)
    expect(assets.image('000000000000.dkr.ecr.us-east-1.amazonaws.com/assets:bb22')).toMatchObject({
      directory: join(directory, 'assembly-Live/asset.bb22'),
      dockerFile: 'images/Dockerfile',
      buildArgs: { V: '1' },
    })
    expect(assets.image('node:24')).toBeUndefined()
  })
})
