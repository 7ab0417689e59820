import type { IncomingMessage } from 'node:http'
import { ACCOUNT_ID, REGION, URL_SUFFIX } from '../assembly/account.ts'
import { randomHex } from '../common/random.ts'
import type { RouteMatch } from './route-table.ts'
import type { ApiStage } from './template-api.ts'

/** A request as far as API Gateway looks at it before the body. */
export interface RequestHead {
  readonly method: string
  /** Percent-encoded, with the stage, without the query. */
  readonly path: string
  /** As sent, without the question mark. */
  readonly rawQueryString: string
  /** Lower-case names; several values joined by commas; without cookies. */
  readonly headers: Readonly<Record<string, string>>
  readonly cookies: readonly string[]
  readonly query: Readonly<Record<string, string>>
  readonly sourceIp: string
  readonly requestId: string
  readonly receivedAt: Date
}

/** What was decided about a request on its way. */
export interface Routed {
  readonly apiId: string
  readonly stage: ApiStage
  readonly match: RouteMatch
}

/** Body types that are passed on as text; every other is base64. */
const TEXT_TYPE = /^(text\/|application\/(json|javascript|xml)\b|application\/[^;\s]+\+(json|xml)\b)/i

/** An id like API Gateway's request, connection and message ids: `JKJaXmPLvHcESHA=`. */
export function newGatewayId(): string {
  return `${Buffer.from(randomHex(24), 'hex').toString('base64url').slice(0, 15)}=`
}

/** A trace header's root, as the gateways make it: `Root=1-58337262-36d228ad5d99923122bbe354`. */
export function newTraceId(): string {
  return `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${randomHex(24)}`
}

/** Reads the head of a request. */
export function requestHead(request: IncomingMessage): RequestHead {
  const url = request.url ?? '/'
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const rawQueryString = mark < 0 ? '' : url.slice(mark + 1)
  const sourceIp = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  const { headers, cookies } = headersOf(request.rawHeaders)
  const forwardedFor = headers['x-forwarded-for']
  headers['x-forwarded-for'] = forwardedFor === undefined ? sourceIp : `${forwardedFor}, ${sourceIp}`
  headers['x-forwarded-port'] ??= String(request.socket.localPort ?? 443)
  headers['x-forwarded-proto'] ??= 'http'
  headers['x-amzn-trace-id'] ??= newTraceId()
  return {
    method: request.method ?? 'GET',
    path,
    rawQueryString,
    headers,
    cookies,
    query: queryOf(rawQueryString),
    sourceIp,
    requestId: newGatewayId(),
    receivedAt: new Date(),
  }
}

function headersOf(rawHeaders: readonly string[]): { headers: Record<string, string>; cookies: string[] } {
  const headers: Record<string, string> = {}
  const cookies: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    const value = rawHeaders[i + 1] ?? ''
    if (name === 'cookie') cookies.push(...value.split(/;\s*/).filter(Boolean))
    else headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`
  }
  delete headers.connection // hop by hop
  return { headers, cookies }
}

function queryOf(rawQueryString: string): Record<string, string> {
  const query: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(rawQueryString))
    query[name] = Object.hasOwn(query, name) ? `${query[name]},${value}` : value
  return query
}

/** API Gateway gives HTTP APIs the decoded path, in which an encoded slash cannot be told from another. */
function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** A time as API Gateway writes it: `12/Mar/2020:19:03:58 +0000`. */
export function clfTime(date: Date): string {
  const [, day, month, year, time] = /, (\d+) (\w+) (\d+) ([\d:]+)/.exec(date.toUTCString()) ?? []
  return `${day}/${month}/${year}:${time} +0000`
}

function requestContext(head: RequestHead, { apiId, stage, match }: Routed): Record<string, unknown> {
  const domainName = head.headers.host ?? `${apiId}.execute-api.${REGION}.${URL_SUFFIX}`
  return {
    accountId: ACCOUNT_ID,
    apiId,
    domainName,
    domainPrefix: domainName.split('.')[0],
    http: {
      method: head.method,
      path: decodedPath(head.path),
      protocol: 'HTTP/1.1',
      sourceIp: head.sourceIp,
      userAgent: head.headers['user-agent'] ?? '',
    },
    requestId: head.requestId,
    routeKey: match.route.routeKey,
    stage: stage.name,
    time: clfTime(head.receivedAt),
    timeEpoch: head.receivedAt.getTime(),
  }
}

/** The members that the events for functions and for authorizers share. */
function commonMembers(head: RequestHead, routed: Routed): Record<string, unknown> {
  const { pathParameters } = routed.match
  return {
    routeKey: routed.match.route.routeKey,
    rawPath: decodedPath(head.path),
    rawQueryString: head.rawQueryString,
    ...(head.cookies.length > 0 && { cookies: head.cookies }),
    headers: head.headers,
    ...(Object.keys(head.query).length > 0 && { queryStringParameters: head.query }),
    ...(Object.keys(pathParameters).length > 0 && { pathParameters }),
    ...(Object.keys(routed.stage.variables).length > 0 && { stageVariables: routed.stage.variables }),
  }
}

/** The event of payload format 2.0 for a function. `authorizerContext` is what the authorizer gave back. */
export function functionEvent(
  head: RequestHead,
  routed: Routed,
  body: Buffer,
  authorizerContext: Readonly<Record<string, unknown>> | undefined,
): Record<string, unknown> {
  const { 'content-type': contentType, 'content-encoding': encoding } = head.headers
  const isBase64Encoded = body.length > 0 && (encoding !== undefined || !TEXT_TYPE.test(contentType ?? 'text/plain'))
  return {
    version: '2.0',
    ...commonMembers(head, routed),
    requestContext: {
      ...requestContext(head, routed),
      ...(authorizerContext && { authorizer: { lambda: authorizerContext } }),
    },
    ...(body.length > 0 && { body: body.toString(isBase64Encoded ? 'base64' : 'utf8') }),
    isBase64Encoded,
  }
}

/** The event of payload format 2.0 for a Lambda authorizer. */
export function authorizerEvent(
  head: RequestHead,
  routed: Routed,
  identitySource: readonly string[],
): Record<string, unknown> {
  const { apiId, stage } = routed
  return {
    version: '2.0',
    type: 'REQUEST',
    routeArn: `arn:aws:execute-api:${REGION}:${ACCOUNT_ID}:${apiId}/${stage.name}/${head.method}${decodedPath(head.path)}`,
    identitySource,
    ...commonMembers(head, routed),
    requestContext: requestContext(head, routed),
  }
}
