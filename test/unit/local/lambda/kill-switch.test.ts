import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createAwsJsonServer } from '../../../../local/common/aws-json-server.ts'
import type { KillMoment } from '../../../../local/lambda/kill-switch.ts'
import type { Lambda, LambdaOptions } from '../../../../local/lambda/lambda.ts'
import { lambdaOf } from './bundle.ts'

/** A handler that makes three calls to a service, signed as the SDK does as far as the endpoint reads it. */
const source = `
const call = (url, n) => fetch(url, { method: 'POST', body: JSON.stringify({ n }), headers: {
  'x-amz-target': 'Counter.Add', authorization: 'AWS4-HMAC-SHA256 Credential=' + process.env.AWS_ACCESS_KEY_ID + '/20300101/us-east-1/x/aws4_request' } })
export const handler = async ({ url }) => { for (const n of [1, 2, 3]) await call(url, n); return 'done' }`

/** The lambda above and the service that it calls, which tells which calls had an effect. */
async function counted(options: Partial<LambdaOptions> = {}) {
  const lambda: Lambda = lambdaOf(source, {}, options)
  const effects: number[] = []
  const operations = { Add: ({ n }: { n: number }) => void effects.push(n) }
  const services = [{ name: 'counter', target: 'Counter', version: '1.1' as const, operations }]
  const server = await createAwsJsonServer({ services, onRequest: (call) => lambda.observeCall(call) })
  onTestFinished(() => server.close())
  return { lambda, effects, url: server.url }
}

describe('killAt', () => {
  it.each([
    ['before-effect', [1]],
    ['after-effect', [1, 2]],
  ] as const)('%s of the second call', async (decision, expected) => {
    const { lambda, effects, url } = await counted()
    const moments: KillMoment[] = []
    const kill = lambda.killAt('subject', (moment) => {
      moments.push(moment)
      return moment.callNumber === 2 && decision
    })
    const response = await lambda.invoke('subject', { url })
    expect(response).toMatchObject({ functionError: 'Unhandled', payload: { errorType: 'Runtime.ExitError' } })
    await vi.waitFor(() => expect(effects).toEqual(expected), { timeout: 10_000 })
    expect(kill.kills).toBe(1)
    expect(moments[1]).toMatchObject({
      functionName: 'subject',
      requestId: response.requestId,
      call: { service: 'counter', operation: 'Add', input: { n: 2 } },
    })
    kill.remove()
    expect((await lambda.invoke('subject', { url })).payload).toBe('done')
  })

  it('counts the calls of each invocation anew, and retries an asynchronous one', async () => {
    const { lambda, effects, url } = await counted({ retryDelaysMs: [1] })
    const kill = lambda.killAt('subject', (moment) => kill.kills === 0 && moment.callNumber === 3 && 'before-effect')
    await lambda.invoke('subject', { url }, { type: 'Event' })
    await vi.waitFor(() => expect(effects).toEqual([1, 2, 1, 2, 3]), { timeout: 10_000 })
  })
})

describe('terminate', () => {
  it('ends an environment in the middle of an invocation', async () => {
    const lambda = lambdaOf(
      'export const handler = async () => { console.log(process.env.AWS_ACCESS_KEY_ID); await new Promise(() => setInterval(() => {}, 1e6)) }',
      {},
      {
        onLog: (_name, _id, key) => {
          const { environmentId, functionName } = lambda.environmentOfAccessKey(key) ?? {}
          expect(functionName).toBe('subject')
          void lambda.terminate(environmentId ?? '')
        },
      },
    )
    expect((await lambda.invoke('subject', {})).payload).toMatchObject({ errorType: 'Runtime.ExitError' })
    expect(await lambda.terminate('nothing')).toBe(false)
  })
})
