import { setTimeout as delay } from 'node:timers/promises'
import type { InvokeResponse } from './invoke-response.ts'
import type { Lambda } from './lambda.ts'

/**
 * Invokes a function for a gateway that waits `timeoutMs` at most. The function itself runs on, as on AWS. Throws what
 * `Lambda.invoke` throws.
 */
export async function invokeWithin(
  invoke: Lambda['invoke'],
  functionArn: string,
  event: unknown,
  timeoutMs: number,
): Promise<InvokeResponse | 'timeout'> {
  const answered = new AbortController()
  const timeout = delay(timeoutMs, 'timeout' as const, { signal: answered.signal }).catch(() => 'timeout' as const)
  try {
    return await Promise.race([invoke(functionArn, event), timeout])
  } finally {
    answered.abort()
  }
}
