import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadAssembly } from '../../../../local/assembly/cloud-assembly.ts'
import { listen } from '../../../../local/common/listen.ts'
import { createHttpApi, type HttpApi, type HttpApiOptions } from '../../../../local/http-api/http-api.ts'
import type { Lambda } from '../../../../local/lambda/lambda.ts'

type Resources = Record<string, { Type: string; Properties: Record<string, unknown> }>
const functionArn = (name: string) => `arn:aws:lambda:us-east-1:000000000000:function:${name}`
const functionUri = (name: string) =>
  `arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${functionArn(name)}/invocations`

/** What a test's API is made of; the function of a route is named like its key. */
export interface ApiDefinition {
  readonly routes: readonly string[]
  /** Routes with the authorizer, whose function is `authorizer`. */
  readonly authorized?: readonly string[]
  readonly authorizer?: Record<string, unknown>
  readonly stage?: Record<string, unknown>
  readonly cors?: Record<string, unknown>
  readonly timeoutMs?: number
}

/** An assembly with one HTTP API. */
export function assemblyOf({ routes, authorized = [], authorizer, stage, cors, timeoutMs }: ApiDefinition) {
  const Api = { Ref: 'Api' }
  const resources: Resources = {
    Api: {
      Type: 'AWS::ApiGatewayV2::Api',
      Properties: { ProtocolType: 'HTTP', ...(cors && { CorsConfiguration: cors }) },
    },
    Stage: { Type: 'AWS::ApiGatewayV2::Stage', Properties: { ApiId: Api, StageName: '$default', ...stage } },
    Authorizer: {
      Type: 'AWS::ApiGatewayV2::Authorizer',
      Properties: {
        ApiId: Api,
        AuthorizerType: 'REQUEST',
        AuthorizerUri: functionUri('authorizer'),
        AuthorizerPayloadFormatVersion: '2.0',
        EnableSimpleResponses: true,
        IdentitySource: ['$request.header.Authorization'],
        AuthorizerResultTtlInSeconds: 0,
        ...authorizer,
      },
    },
  }
  for (const [index, routeKey] of routes.entries()) {
    const id = `Integration${index}`
    const uri = functionUri(routeKey.replaceAll(/[^A-Za-z0-9]/g, '_'))
    resources[id] = {
      Type: 'AWS::ApiGatewayV2::Integration',
      Properties: {
        ApiId: Api,
        IntegrationType: 'AWS_PROXY',
        IntegrationUri: uri,
        ...(timeoutMs && { TimeoutInMillis: timeoutMs }),
      },
    }
    resources[`Route${index}`] = {
      Type: 'AWS::ApiGatewayV2::Route',
      Properties: {
        ApiId: Api,
        RouteKey: routeKey,
        Target: { 'Fn::Join': ['', ['integrations/', { Ref: id }]] },
        ...(authorized.includes(routeKey) && { AuthorizationType: 'CUSTOM', AuthorizerId: { Ref: 'Authorizer' } }),
      },
    }
  }
  const directory = mkdtempSync(join(tmpdir(), 'http-api-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const templateFile = 'App.template.json'
  const artifacts = { App: { type: 'aws:cloudformation:stack', properties: { templateFile } } }
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify({ artifacts }))
  writeFileSync(join(directory, templateFile), JSON.stringify({ Resources: resources }))
  return loadAssembly(directory, { endpoints: { api: () => 'http://unused' } })
}

/** A function by the name that the test gives it: route keys with `_` for all but letters and digits, or `authorizer`. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into events freely
export type Functions = Record<string, (event: any) => unknown>

/** `Lambda.invoke` on plain functions; a thrown error is a function error. */
export function invokeOf(functions: Functions): Lambda['invoke'] {
  return async (arn, event) => {
    const name = arn.split(':')[6] ?? ''
    const base = { statusCode: 200, requestId: 'id' }
    const handler = functions[name]
    if (!handler) throw new Error(`The test has no function ${name}`)
    try {
      const result = (await handler(structuredClone(event))) ?? null
      return { ...base, functionError: undefined, payload: JSON.parse(JSON.stringify(result)) }
    } catch (error) {
      if ((error as Error).name !== 'Error') throw error
      return { ...base, functionError: 'Unhandled', payload: { errorMessage: (error as Error).message } }
    }
  }
}

/** Serves the API until the end of the test. */
export async function serve(
  definition: ApiDefinition,
  functions: Functions,
  options: Partial<HttpApiOptions> = {},
): Promise<{ url: string; api: HttpApi; failures: string[] }> {
  const failures: string[] = []
  const api = await createHttpApi({
    assembly: assemblyOf(definition),
    invoke: invokeOf(functions),
    onFailure: (request, reason) => failures.push(`${request}: ${reason}`),
    ...options,
  })
  const server = createServer((request, response) => api.handle(request, response))
  const url = await listen(server)
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url, api, failures }
}

/** A request with exactly these headers and path, which `fetch` would change. */
export function rawRequest(
  url: string,
  path: string,
  options: RequestOptions = {},
  body?: string | Buffer,
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { path, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}
