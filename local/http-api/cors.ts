import type { CorsConfiguration } from './template-api.ts'

/** Headers that API Gateway sets itself when the API has a CORS configuration, whatever the function answered. */
const CORS_HEADER = /^access-control-/i

/**
 * The answer to a preflight request (204), or undefined when the request is none. An origin that is not allowed gets the
 * 204 without headers, which browsers take as a refusal.
 */
export function preflightHeaders(
  cors: CorsConfiguration,
  method: string,
  headers: Readonly<Record<string, string>>,
): Record<string, string> | undefined {
  const { origin, 'access-control-request-method': requested } = headers
  if (method !== 'OPTIONS' || origin === undefined || requested === undefined) return undefined
  const allowedOrigin = allowedOriginFor(cors, origin)
  if (allowedOrigin === undefined) return {}
  return {
    'access-control-allow-origin': allowedOrigin,
    ...(cors.allowMethods.length > 0 && { 'access-control-allow-methods': cors.allowMethods.join(',') }),
    ...(cors.allowHeaders.length > 0 && { 'access-control-allow-headers': cors.allowHeaders.join(',') }),
    ...(cors.maxAge !== undefined && { 'access-control-max-age': String(cors.maxAge) }),
    ...(cors.allowCredentials && { 'access-control-allow-credentials': 'true' }),
  }
}

/** A function's answer with API Gateway's CORS headers in place of its own. */
export function withCors<V>(
  cors: CorsConfiguration | undefined,
  origin: string | undefined,
  headers: Readonly<Record<string, V>>,
): Record<string, V | string> {
  if (!cors) return { ...headers }
  const own = Object.fromEntries(Object.entries(headers).filter(([name]) => !CORS_HEADER.test(name)))
  const allowedOrigin = origin === undefined ? undefined : allowedOriginFor(cors, origin)
  if (allowedOrigin === undefined) return own
  return {
    ...own,
    'access-control-allow-origin': allowedOrigin,
    ...(cors.exposeHeaders.length > 0 && { 'access-control-expose-headers': cors.exposeHeaders.join(',') }),
    ...(cors.allowCredentials && { 'access-control-allow-credentials': 'true' }),
  }
}

function allowedOriginFor({ allowOrigins }: CorsConfiguration, origin: string): string | undefined {
  if (allowOrigins.includes('*')) return '*'
  const matches = (pattern: string) =>
    pattern === origin || (pattern.endsWith('://*') && origin.startsWith(pattern.slice(0, -1)))
  return allowOrigins.some(matches) ? origin : undefined
}
