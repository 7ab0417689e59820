import * as z from 'zod'

/** An answer as it goes to the client. */
export interface HttpAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer
}

const Scalar = z.union([z.string(), z.number(), z.boolean()])
const ProxyResponse = z.object({
  statusCode: z.coerce.number().int().min(100).max(599),
  headers: z.record(z.string(), z.union([Scalar, z.null()])).nullish(),
  cookies: z.array(z.string()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().nullish(),
})

/** Headers that belong to the connection or are worked out anew. */
const NOT_PASSED_ON = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding', 'upgrade'])

/**
 * A function's result as an HTTP answer, by the rules of payload format 2.0: without a `statusCode` the whole result is the
 * JSON body of a 200. Undefined for a response in the wrong format, which API Gateway answers with 500.
 */
export function httpAnswer(payload: unknown): HttpAnswer | undefined {
  if (typeof payload !== 'object' || payload === null || !('statusCode' in payload)) {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(text) }
  }
  const parsed = ProxyResponse.safeParse(payload)
  if (!parsed.success) return undefined
  const { statusCode, headers, cookies, body, isBase64Encoded } = parsed.data
  const passed: Record<string, string | readonly string[]> = {}
  for (const [name, value] of Object.entries(headers ?? {}))
    if (value !== null && !NOT_PASSED_ON.has(name.toLowerCase())) passed[name.toLowerCase()] = String(value)
  if (cookies && cookies.length > 0) passed['set-cookie'] = cookies
  passed['content-type'] ??= 'text/plain;charset=UTF-8'
  return { statusCode, headers: passed, body: Buffer.from(body ?? '', isBase64Encoded ? 'base64' : 'utf8') }
}
