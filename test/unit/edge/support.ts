import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type EdgeFunction, loadEdgeFunction, type Routing } from '../../../local/edge/edge-function.ts'
import { viewerRequestEvent } from '../../../local/edge/viewer-request-event.ts'

/** The source of a function of infra/edge, with its placeholders as a stage has them. */
export function edgeSource(file: string): string {
  const source = readFileSync(join(import.meta.dirname, '..', '..', '..', 'infra', 'edge', file), 'utf8')
  return source.replaceAll('{{stage}}', 'live').replaceAll('{{httpApiOriginId}}', 'http-api')
}

export function edgeFunction(file: string): EdgeFunction {
  return loadEdgeFunction(file, edgeSource(file), new Set(['http-api', 'web-socket-api', 'frontend']))
}

/** What a function makes of a GET request. */
export function routing({ run }: EdgeFunction, url: string, rawHeaders: string[] = ['Host', 'app.example']): Routing {
  const request = { url, method: 'GET', rawHeaders, socket: { remoteAddress: '::ffff:192.0.2.7' } }
  return run(viewerRequestEvent(request, { id: 'E1', domainName: 'd1.cloudfront.net' }, 'request-1'))
}
