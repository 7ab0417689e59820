import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi'
import { onTestFinished } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import { loadAssembly } from '../../../../local/assembly/cloud-assembly.ts'
import { listen } from '../../../../local/common/listen.ts'
import type { WebSocketApiOptions } from '../../../../local/websocket-api/options.ts'
import { createWebSocketApi, type WebSocketApi } from '../../../../local/websocket-api/websocket-api.ts'
import { type Functions, invokeOf } from '../http-api/api.ts'

const functionUri = (name: string) =>
  `arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:${name}/invocations`

/** An assembly with a WebSocket API whose routes' functions are named like the routes; `authorizer` is that of `$connect`. */
function assemblyOf(routes: readonly string[], authorizer: object | undefined, stage: object) {
  const Api = { Ref: 'Api' }
  const resources: Record<string, { Type: string; Properties: object }> = {
    Api: {
      Type: 'AWS::ApiGatewayV2::Api',
      Properties: { ProtocolType: 'WEBSOCKET', RouteSelectionExpression: '$request.body.action' },
    },
    Stage: { Type: 'AWS::ApiGatewayV2::Stage', Properties: { ApiId: Api, StageName: 'live', ...stage } },
  }
  if (authorizer)
    resources.Authorizer = {
      Type: 'AWS::ApiGatewayV2::Authorizer',
      Properties: { ApiId: Api, AuthorizerType: 'REQUEST', AuthorizerUri: functionUri('authorizer'), ...authorizer },
    }
  for (const [index, RouteKey] of routes.entries()) {
    const IntegrationUri = functionUri(RouteKey.replace('$', ''))
    resources[`Integration${index}`] = {
      Type: 'AWS::ApiGatewayV2::Integration',
      Properties: { ApiId: Api, IntegrationType: 'AWS_PROXY', IntegrationUri },
    }
    const authorized = authorizer && RouteKey === '$connect'
    resources[`Route${index}`] = {
      Type: 'AWS::ApiGatewayV2::Route',
      Properties: {
        ApiId: Api,
        RouteKey,
        Target: { 'Fn::Join': ['', ['integrations/', { Ref: `Integration${index}` }]] },
        ...(authorized && { AuthorizationType: 'CUSTOM', AuthorizerId: { Ref: 'Authorizer' } }),
      },
    }
  }
  const directory = mkdtempSync(join(tmpdir(), 'websocket-api-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const templateFile = 'App.template.json'
  const artifacts = { App: { type: 'aws:cloudformation:stack', properties: { templateFile } } }
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify({ artifacts }))
  writeFileSync(join(directory, templateFile), JSON.stringify({ Resources: resources }))
  return loadAssembly(directory, { endpoints: { api: () => 'http://unused' } })
}

export interface Served {
  readonly api: WebSocketApi
  /** `ws://…` without a path. */
  readonly url: string
  readonly failures: string[]
  readonly management: ApiGatewayManagementApiClient
}

/** Serves an API with a route for each function until the end of the test. */
export async function serve(
  functions: Functions,
  { authorizer, stage = {}, ...options }: Partial<WebSocketApiOptions> & { authorizer?: object; stage?: object } = {},
): Promise<Served> {
  const failures: string[] = []
  const names = Object.keys(functions).filter((name) => name !== 'authorizer')
  const routes = names.map((name) => (['connect', 'disconnect', 'default'].includes(name) ? `$${name}` : name))
  const api = await createWebSocketApi({
    assembly: assemblyOf(routes, authorizer, stage),
    invoke: invokeOf(functions),
    onFailure: (routeKey, _connectionId, reason) => failures.push(`${routeKey}: ${reason}`),
    ...options,
  })
  const server = createServer()
  server.on('upgrade', (request, socket, head) => api.handleUpgrade(request, socket as Socket, head))
  const url = (await listen(server)).replace('http', 'ws')
  onTestFinished(async () => {
    await api.close()
    server.close()
  })
  return { api, url, failures, management: managementClient(`${api.url}/live`) }
}

export function managementClient(endpoint: string): ApiGatewayManagementApiClient {
  const credentials = { accessKeyId: 'AKIALOCAL1', secretAccessKey: 'secret' }
  return new ApiGatewayManagementApiClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 })
}

/** A client whose messages can be awaited one by one. */
export class Client {
  readonly socket: WebSocket
  readonly received: string[] = []
  #waiter: (() => void) | undefined

  constructor(url: string, options: ClientOptions = {}, protocols: string[] = []) {
    this.socket = new WebSocket(url, protocols, options)
    this.socket.on('message', (data) => {
      this.received.push(data.toString())
      this.#waiter?.()
    })
    onTestFinished(() => this.socket.terminate())
  }

  /** Connects; rejects with `Unexpected server response: <status>` when refused. */
  static async connect(url: string, options?: ClientOptions, protocols?: string[]): Promise<Client> {
    const client = new Client(url, options, protocols)
    await once(client.socket, 'open')
    return client
  }

  /** Waits until so many messages have come. */
  async messages(count: number): Promise<string[]> {
    while (this.received.length < count) await new Promise<void>((resolve) => (this.#waiter = resolve))
    return this.received
  }

  /** Waits for the end. */
  async closed(): Promise<[code: number, reason: string]> {
    const [code, reason] = await once(this.socket, 'close')
    return [code, reason.toString()]
  }
}
