import { createServer, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { stageConfig } from '../../../../infra/config.ts'
import { addControlPlane, controlPlaneApp } from '../../../../infra/control-plane.ts'
import { type CloudAssembly, loadAssembly } from '../../../../local/assembly/cloud-assembly.ts'
import { closeServer, listen } from '../../../../local/common/listen.ts'
import { createFrontDoor, type FrontDoorOptions } from '../../../../local/edge/front-door.ts'
import { withStandIns } from '../../../infra/support/synthesized.ts'

/** The control plane's own assembly, with stand-ins for the functions' bundles. */
export function controlPlaneAssembly(): CloudAssembly {
  return withStandIns(({ outdir, ...directories }) => {
    const app = controlPlaneApp({ outdir, builtinCloudFormationValidation: false })
    addControlPlane(app, stageConfig('local'), directories)
    app.synth()
    return loadAssembly(outdir, { endpoints: { api: () => 'http://unused' } })
  })
}

/** A request as an origin got it. */
export interface Received {
  readonly origin: 'http-api' | 'web-socket-api' | 'bucket'
  readonly method: string | undefined
  readonly target: string | undefined
  readonly headers: IncomingMessage['headers']
}

/** A front door until the end of the test, whose origins say what they got. Handlers given in `options` answer in their place. */
export async function openDoor(assembly: CloudAssembly, options: Partial<FrontDoorOptions> = {}) {
  const received: Received[] = []
  const failures: string[] = []
  const record = (origin: Received['origin'], { method, url, headers }: IncomingMessage) =>
    received.push({ origin, method, target: url, headers })
  const door = createFrontDoor({
    assembly,
    http: {
      handle(request, response) {
        record('http-api', request)
        if (options.http) options.http.handle(request, response)
        else response.end('http-api')
      },
    },
    webSockets: {
      handleUpgrade(request, socket, head) {
        record('web-socket-api', request)
        if (options.webSockets) options.webSockets.handleUpgrade(request, socket, head)
        else socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
      },
    },
    frontend(request, response) {
      record('bucket', request)
      response.end('bucket')
    },
    onFailure: (request, reason) => failures.push(`${request}: ${reason}`),
  })
  const server = createServer()
  server.on('request', (request, response) => door.handle(request, response))
  server.on('upgrade', (request, socket, head) => door.handleUpgrade(request, socket as Socket, head))
  const url = await listen(server)
  onTestFinished(() => closeServer(server, 0))
  return { url, received, failures, raw: (head: string) => rawRequest(Number(new URL(url).port), head) }
}

/** Sends bytes that no HTTP client would and resolves with everything that comes back. */
function rawRequest(port: number, head: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    socket.on('error', reject)
    socket.on('end', () => {
      socket.destroy()
      resolve(text)
    })
    socket.write(head)
  })
}
