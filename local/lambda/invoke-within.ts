import type { InvokeResponse } from './invoke-response.ts'
import type { Lambda } from './lambda.ts'

/**
 * Invokes a function for a gateway that waits `timeoutMs` at most. The function itself runs on, as on AWS. Throws what
 * `Lambda.invoke` throws.
 */
export function invokeWithin(
  invoke: Lambda['invoke'],
  functionArn: string,
  event: unknown,
  timeoutMs: number,
): Promise<InvokeResponse | 'timeout'> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve('timeout'), timeoutMs)
    invoke(functionArn, event)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}
