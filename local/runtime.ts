/**
 * The one-machine runtime: loads a synthesized cloud assembly and runs what it says, on endpoints of this machine. Everything
 * that a test may bend stands in `RuntimeOptions`.
 */
import { createServer, type Server } from 'node:http'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type CloudAssembly, loadAssembly } from './assembly/cloud-assembly.ts'
import { nextDeployment } from './assembly/deployments.ts'
import type { AwsCall, Disturbance } from './common/aws-call.ts'
import { closeServer, listen } from './common/listen.ts'
import { createDynamoDb, type DynamoDb } from './dynamodb/dynamodb.ts'
import type { ContainerBackend } from './ecs/backend.ts'
import { createEcs, type Ecs, type EcsOptions } from './ecs/ecs.ts'
import { createProcessBackend } from './ecs/process-backend.ts'
import { createFrontDoor, type FrontDoorOptions } from './edge/front-door.ts'
import { createEfs, type Efs, type EfsOptions } from './efs/efs.ts'
import { createEventBridge, type EventBridge } from './eventbridge/eventbridge.ts'
import { createFaults, type Faults } from './faults/faults.ts'
import { createHttpApi } from './http-api/http-api.ts'
import { createIam, type Iam } from './iam/iam.ts'
import { imagesOf } from './images.ts'
import { type FunctionConfiguration, functionsOf } from './lambda/function-configuration.ts'
import { createLambda, type Lambda } from './lambda/lambda.ts'
import { openPreviews } from './previews/previews.ts'
import { gatewayOf } from './previews/template-gateway.ts'
import { createSecretsManager } from './secrets-manager/secrets-manager.ts'
import { storeSecret } from './secrets-manager/store-secret.ts'
import { createSqs, type Sqs } from './sqs/sqs.ts'
import type { WebSocketApiOptions } from './websocket-api/options.ts'
import { createWebSocketApi, type WebSocketApi } from './websocket-api/websocket-api.ts'

export interface RuntimeOptions {
  /** The synthesized app (`cdk.out`). */
  readonly assemblyDirectory: string
  /** Where all state is kept; one runtime at a time. */
  readonly stateDir: string
  /** Port of the front door; 0 takes a free one. */
  readonly port: number
  /** Port of the hosts of previews; 0, the default, takes a free one. */
  readonly previewPort?: number
  /** The existing server's secret, as its operator would store it. */
  readonly jwtSecret: string
  /** The model key that every team has, as the teams' operators would store it. */
  readonly modelKey: string
  readonly onLog?: (source: string, line: string) => void
  /** Sees what goes over the wire where others could read it: calls to AWS, events of ECS, messages into queues. */
  readonly onTraffic?: (where: string, content: string) => void
  readonly latencies?: EcsOptions['latencies']
  /** How containers run; as processes of this machine unless given. Closed with the runtime. */
  readonly backend?: (assembly: CloudAssembly) => ContainerBackend
  /** Other services see a new role this long after it was made; 0 by default. */
  readonly rolePropagationMs?: number
  readonly accessPointRate?: EfsOptions['accessPointRate']
  readonly webSocket?: Pick<WebSocketApiOptions, 'idleTimeoutMs' | 'maxDurationMs' | 'maxBufferedBytes' | 'jitterMs'>
  /** Answers for the frontend's bucket; without it the bucket is empty. */
  readonly frontend?: FrontDoorOptions['frontend']
  /** How many times faster schedules fire; 1 by default, 0 lets them rest. */
  readonly scheduleRate?: number
}

export interface Runtime {
  /** The one origin for the browser. */
  readonly url: string
  /** Address of a preview by its label; undefined when the template has no preview domain. */
  readonly previewUrl: (label: string) => string | undefined
  /** The HTTP API's own endpoint: the way to routes that the distribution does not pass on. */
  readonly apiUrl: string
  readonly assembly: CloudAssembly
  readonly faults: Faults
  readonly lambda: Lambda
  readonly dynamodb: DynamoDb
  readonly ecs: Ecs
  /** What runs the containers of tasks. */
  readonly backend: ContainerBackend
  readonly efs: Efs
  readonly iam: Iam
  readonly eventBridge: EventBridge
  readonly sqs: Sqs
  readonly webSockets: WebSocketApi
  /** Where containers connect their links. */
  readonly linkUrl: string
  /** The `AWS_ENDPOINT_URL_*` variables that functions get. */
  readonly endpoints: Readonly<Record<string, string>>
  /** A function of the template by its id in `shared/contracts/functions.ts`. Throws when the template has none. */
  functionOf(id: string): FunctionConfiguration
  close(): Promise<void>
}

/** Who calls closes before who is called, so that the last words of tasks and connections still find their functions. */
const CLOSING_PHASES = ['tasks', 'doors', 'events', 'functions', 'stores'] as const
type ClosingPhase = (typeof CLOSING_PHASES)[number]

const TEAM_MODEL_KEY = /\/model-key$/

export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const log = options.onLog ?? (() => undefined)
  const traffic = (where: string, content: unknown) => options.onTraffic?.(where, JSON.stringify(content))
  const faults = createFaults()
  const cleanups: { phase: ClosingPhase; close: () => Promise<void> }[] = []
  const started = <T extends { close(): Promise<void> }>(phase: ClosingPhase, part: T): T => {
    cleanups.push({ phase, close: () => part.close() })
    return part
  }
  const close = async () => {
    for (const phase of CLOSING_PHASES)
      for (const cleanup of cleanups.filter((one) => one.phase === phase)) await cleanup.close()
    cleanups.length = 0
  }
  try {
    return { ...(await start()), close }
  } catch (error) {
    await close()
    throw error
  }

  async function start(): Promise<Omit<Runtime, 'close'>> {
    let lambda: Lambda | undefined
    const onRequest = (call: AwsCall): Disturbance | undefined => {
      traffic(`${call.service} ${call.operation}`, call.input)
      return lambda?.observeCall(call)
    }
    const invoke: Lambda['invoke'] = (...args) => {
      if (!lambda) throw new Error('No function can be invoked before the runtime is up')
      return lambda.invoke(...args)
    }

    const sqs = started('events', await createSqs({ stateDir: options.stateDir, onRequest, invoke }))
    const sockets = await serve('web socket api', 0)
    let managementUrl: string | undefined
    const previews = started('doors', await openPreviews(options.previewPort ?? 0))
    const assembly = loadAssembly(options.assemblyDirectory, {
      deployment: await nextDeployment(options.stateDir),
      endpoints: {
        sqs: sqs.url,
        api: ({ protocolType }, scheme) => {
          if (protocolType === 'HTTP') return door.url
          if (scheme === 'wss') return sockets.url.replace('http:', 'ws:')
          if (!managementUrl) throw new Error('The management endpoint is not up yet')
          return managementUrl
        },
        app: () => door.url,
        previewPort: () => previews.port,
      },
    })
    const door = await serve('front door', options.port)

    const dynamodb = started(
      'stores',
      await createDynamoDb({ directory: join(options.stateDir, 'dynamodb'), onRequest }),
    )
    await dynamodb.createTables(assembly)
    const secrets = started(
      'stores',
      await createSecretsManager({
        resources: assembly.resources,
        stateDir: options.stateDir,
        onRequest,
        // The operator of this machine has stored its one key for whichever team comes.
        standing: (name) => (TEAM_MODEL_KEY.test(name) ? options.modelKey : undefined),
      }),
    )
    const webSockets = started('doors', await createWebSocketApi({ assembly, invoke, onRequest, ...options.webSocket }))
    managementUrl = webSockets.url
    const eventBridge = started(
      'events',
      await createEventBridge({
        resources: assembly.resources,
        invoke: async (functionArn, event) => void (await invoke(functionArn, event, { type: 'Event' })),
        send: async (queueArn, message) => {
          traffic('queue', message)
          await sqs.send(queueArn, message)
        },
        onRequest,
        faults,
        scheduleRate: options.scheduleRate ?? 1,
      }),
    )
    const shared = { resources: assembly.resources, stateDir: options.stateDir, onRequest }
    const iam = started('stores', await createIam({ ...shared, propagationMs: options.rolePropagationMs ?? 0 }))
    const efs = started(
      'stores',
      await createEfs({ ...shared, allows: iam.allows, accessPointRate: options.accessPointRate }),
    )
    const images = imagesOf(assembly)
    const backend = options.backend?.(assembly) ?? (await createProcessBackend({ stateDir: options.stateDir, images }))
    const ecs = await createEcs({
      resources: assembly.resources,
      stateDir: options.stateDir,
      backend,
      mountEfs: efs.mount,
      canAssumeRole: (roleArn, clusterArn) => iam.canAssume(roleArn, 'ecs-tasks.amazonaws.com', sourceOf(clusterArn)),
      secret: async (valueFrom) => secrets.value(valueFrom),
      onEvent: (event) => {
        traffic('event', event)
        eventBridge.putServiceEvent(event)
      },
      onLog: ({ line, ...where }) => log(`task ${where.taskArn.split('/').at(-1)}`, line),
      onRequest,
      faults,
      ...(options.latencies ? { latencies: options.latencies } : {}),
    })
    started('tasks', ecs)

    const { functions } = functionsOf(assembly)
    const endpoints = {
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      AWS_ENDPOINT_URL_ECS: ecs.url,
      AWS_ENDPOINT_URL_EFS: efs.url,
      AWS_ENDPOINT_URL_EVENTBRIDGE: eventBridge.url,
      AWS_ENDPOINT_URL_IAM: iam.url,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.url,
      AWS_ENDPOINT_URL_SQS: sqs.url,
    }
    lambda = started(
      'functions',
      createLambda({
        functions,
        endpointVariables: () => endpoints,
        onLog: (functionName, _, line) => log(functionName, line),
        onAsyncFailure: ({ functionName, destination, deadLetterTarget, record, event }) => {
          traffic('given up', record)
          log(functionName, `given up: ${JSON.stringify(record)}`)
          const kept = [
            ...(destination ? [[destination, record] as const] : []),
            ...(deadLetterTarget ? [[deadLetterTarget, event] as const] : []),
          ]
          for (const [queueArn, body] of kept)
            sqs.send(queueArn, { body: JSON.stringify(body) }).catch((error: unknown) => log('runtime', String(error)))
        },
      }),
    )
    const functionOf: Runtime['functionOf'] = (id) => {
      const found = functions.find(({ name }) => name.endsWith(`-${id}`))
      if (!found) throw new Error(`The assembly has no function ${id}`)
      return found
    }
    await storeSecret(secrets, functionOf('authorize-user').environment.JWT_SECRET_ID, options.jwtSecret)
    sqs.define(assembly.resources)

    const http = started('doors', await createHttpApi({ assembly, invoke }))
    openDoor(door.server, { assembly, http, webSockets, frontend: options.frontend })
    const api = await serve('http api', 0)
    api.server.on('request', (request, response) => http.handle(request, response))
    sockets.server.on('upgrade', (request, socket, head) => webSockets.handleUpgrade(request, tcp(socket), head))
    const gateway = gatewayOf(assembly)
    const secret = async (valueFrom: string) => secrets.value(valueFrom)
    const onLine = (line: string) => log('preview-gateway', line)
    if (gateway) await previews.start({ gateway, stateDir: options.stateDir, images, secret, endpoints, onLine })
    const linkUrl = `${sockets.url.replace('http:', 'ws:')}/${webSockets.stages[0]}`
    return {
      url: door.url,
      previewUrl: (label) => gateway && `http://${label}.${gateway.domain}:${previews.port}`,
      apiUrl: api.url,
      linkUrl,
      endpoints,
      assembly,
      faults,
      lambda,
      dynamodb,
      ecs,
      backend,
      efs,
      iam,
      eventBridge,
      sqs,
      webSockets,
      functionOf,
    }
  }

  async function serve(name: string, port: number): Promise<{ server: Server; url: string }> {
    const server = createServer()
    const url = await listen(server, port).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error
      throw new Error(
        `Port ${port} of the ${name} is taken; is another control plane running? PORT chooses another one.`,
      )
    })
    cleanups.push({ phase: 'doors', close: () => closeServer(server, 500) })
    return { server, url }
  }
}

/** What ECS tells when it takes on a role. Source: ECS guide `task-iam-roles.html`, the confused deputy. */
function sourceOf(clusterArn: string): Record<string, string> {
  return { 'aws:SourceAccount': clusterArn.split(':')[4] ?? '', 'aws:SourceArn': clusterArn }
}

/** The browser's one origin is the template's distribution. */
function openDoor(server: Server, options: FrontDoorOptions): void {
  const door = createFrontDoor(options)
  server.on('request', (request, response) => door.handle(request, response))
  server.on('upgrade', (request, socket, head) => door.handleUpgrade(request, tcp(socket), head))
}

/** Node types the socket of an upgrade as the Duplex that it might be behind TLS; these servers speak plain TCP. */
function tcp(socket: Duplex): Socket {
  if (socket instanceof Socket) return socket
  throw new Error('An upgrade without a TCP socket')
}
