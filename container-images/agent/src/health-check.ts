/** The container's health check: ends with 0 when /health answers 200, with 1 and the reason otherwise. */
import { AGENT_STATUS_PORT } from '../../../shared/contracts/limits.ts'

const url = `http://127.0.0.1:${process.env.PORT ?? AGENT_STATUS_PORT}/health`
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(4_000) })
  process.stdout.write(await response.text())
  process.exitCode = response.ok ? 0 : 1
} catch (error) {
  process.stdout.write(`${url} does not answer: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
