import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { type ContainerProcess, startContainerProcess } from '../ecs/container-process.ts'
import { containerCommand, containerEnvironment, type LocalImage } from '../ecs/environment.ts'
import { killRecorded } from '../ecs/processes.ts'
import { type Kept, keepRunning, type Running } from './keep-running.ts'
import type { TemplateGateway } from './template-gateway.ts'

/** What `startGatewayProcess` takes. */
export interface GatewayProcessOptions {
  readonly gateway: TemplateGateway
  readonly stateDir: string
  /** What an image URI is here. */
  readonly images: (imageUri: string) => LocalImage | undefined
  /** The value that a secret's `valueFrom` names. */
  readonly secret: (valueFrom: string) => Promise<string>
  /** The `AWS_ENDPOINT_URL_*` variables. */
  readonly endpoints: Readonly<Record<string, string>>
  readonly onLine: (line: string) => void
}

/** The access key that the gateway signs with, by which its calls are told from those of functions. */
export const GATEWAY_ACCESS_KEY = 'preview-gateway'

/** The gateway drains for 30 s at most; on a machine that is being stopped nobody waits for that. */
const STOP_MS = 2_000

const ListensSchema = z.object({ port: z.number().int(), healthPort: z.number().int() })

/**
 * Runs the gateway of the template as a process that listens on free ports of 127.0.0.1, and again whenever it ends. Resolves when it
 * listens; rejects with what it said when it ends instead.
 */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<Kept> {
  const { container } = options.gateway
  const image = options.images(container.image)
  if (!image) throw new Error(`The image ${container.image} of the preview gateway is not built from this repository`)
  const home = join(options.stateDir, 'preview-gateway')
  await mkdir(home, { recursive: true })
  const marks = [`HOME=${home}`]
  // One that a runtime has left that was killed.
  await killRecorded({ pid: 0, start: undefined, marks })
  const environment = await environmentOf(options, image, home)

  const start = async (): Promise<Running> => {
    const listening = Promise.withResolvers<number>()
    const said: string[] = []
    const process = await startContainerProcess({
      command: containerCommand(image, container, undefined),
      directory: image.directory,
      environment,
      marks,
      onLine: (line) => {
        options.onLine(line)
        said.splice(0, Math.max(0, said.length - 20))
        said.push(line)
        const port = portIn(line)
        if (port !== undefined) listening.resolve(port)
      },
    })
    const { exited } = process
    void exited.then((exitCode) =>
      listening.reject(new Error(`The preview gateway ended with ${exitCode}:\n${said.join('\n')}`)),
    )
    // Whoever waits for it is told; nobody may be waiting.
    listening.promise.catch(() => {})
    return { port: listening.promise, exited, stop: () => stop(process) }
  }
  return keepRunning(start, (exitCode, nextInMs) =>
    options.onLine(`The preview gateway ended with ${exitCode}; it is started again in ${nextInMs} ms`),
  )
}

async function stop(process: ContainerProcess): Promise<void> {
  await process.stop(STOP_MS)
}

/** What the gateway says when it listens. */
function portIn(line: string): number | undefined {
  if (!line.includes('"healthPort"')) return undefined
  const parsed = ListensSchema.safeParse(JSON.parse(line))
  return parsed.success ? parsed.data.port : undefined
}

async function environmentOf(
  { gateway: { container }, secret, endpoints }: GatewayProcessOptions,
  image: LocalImage,
  home: string,
): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {}
  for (const { name, valueFrom } of container.secrets ?? []) secrets[name] = await secret(valueFrom)
  const {
    // The platform's, for programs that the task's role lets call AWS: here a key without meaning stands for the role.
    ECS_CONTAINER_METADATA_URI_V4: _,
    ...environment
  } = containerEnvironment({
    image,
    definition: container,
    override: undefined,
    secrets,
    volumes: new Map(),
    home,
    address: '127.0.0.1',
    metadataUri: '',
  })
  return {
    ...environment,
    ...endpoints,
    AWS_ACCESS_KEY_ID: GATEWAY_ACCESS_KEY,
    AWS_SECRET_ACCESS_KEY: 'local',
    // The developer's own configuration stays out.
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    APP_ORIGIN: withLocalhost(environment.APP_ORIGIN ?? ''),
    // What it listens on is read from its log, so that two runtimes never meet.
    PORT: '0',
    HEALTH_PORT: '0',
    BEHIND_LOAD_BALANCER: 'false',
  }
}

/** People open `localhost` as well as the address that the front door names; to a browser these are two origins. */
function withLocalhost(origin: string): string {
  const url = new URL(origin)
  return url.hostname === '127.0.0.1' ? `${origin} http://localhost:${url.port}` : origin
}
