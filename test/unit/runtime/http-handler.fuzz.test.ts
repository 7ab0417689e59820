/** Whatever comes in and whatever happens inside: a status, JSON with a code, and nothing of the inside. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { AgentParamsSchema, ListAgentsQuerySchema, SpawnAgentBodySchema } from '../../../shared/contracts/agents.ts'
import { ErrorAnswerSchema, type Route } from '../../../shared/contracts/routes.ts'
import { AppError } from '../../../shared/domain/errors.ts'
import { STATUS_OF_CODE, toHttpError } from '../../../shared/runtime/errors-to-http.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

capturedLogs()
const everything = {
  method: 'POST',
  path: '/api/agents/{id}',
  auth: 'user',
  summary: '',
  handler: 'x',
  headers: ['idempotency-key'],
  params: AgentParamsSchema,
  query: ListAgentsQuerySchema,
  body: SpawnAgentBodySchema,
} as const satisfies Route

const strings = fc.dictionary(fc.string(), fc.string())
const event = fc.record({
  headers: fc.record({
    authorization: fc.oneof(fc.constant('Bearer a.b.c'), fc.string()),
    'idempotency-key': fc.string(),
    'x-correlation-id': fc.string({ unit: 'binary' }),
  }),
  pathParameters: fc.oneof(fc.constant({ id: 'a' }), strings),
  queryStringParameters: fc.oneof(fc.constant({}), strings),
  body: fc.oneof(fc.json(), fc.string(), fc.constant('{}')),
  isBase64Encoded: fc.boolean(),
})

it('answers every request', async () => {
  const handler = httpHandler(everything, async () => ({ ok: true }))
  await fc.assert(
    fc.asyncProperty(event, async (overrides) => {
      const result = await handler(httpEvent(overrides), lambdaContext())
      expect([200, 400, 403]).toContain(result.statusCode)
      const body: unknown = JSON.parse(result.body)
      if (result.statusCode !== 200) ErrorAnswerSchema.parse(body)
      expect(result.headers['x-correlation-id']).toMatch(/^[\w.:/=+-]{1,128}$/)
    }),
    { numRuns: 300 },
  )
})

it('makes an answer of everything that can be thrown', () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), (thrown) => {
      const { status, message } = toHttpError(thrown)
      expect([500, 503]).toContain(status)
      expect(message).toMatch(/^(Internal error|Too busy|This took too long|A service)/)
    }),
    { numRuns: 500 },
  )
})

it('has a status for every code', () => {
  for (const [code, status] of Object.entries(STATUS_OF_CODE)) {
    expect(toHttpError(new AppError(code as keyof typeof STATUS_OF_CODE, 'words'))).toMatchObject({ status, code })
  }
})
