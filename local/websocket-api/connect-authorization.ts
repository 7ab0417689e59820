import { ACCOUNT_ID, REGION } from '../assembly/account.ts'
import { readPolicy } from '../http-api/authorization.ts'
import type { LambdaAuthorizer } from '../http-api/template-api.ts'
import type { Lambda } from '../lambda/lambda.ts'
import type { ConnectionInfo, WebSocketEvent } from './events.ts'

/** Allowed with what the authorizer says about the client, or the status that refuses the upgrade. */
export type ConnectAuthorization =
  | { readonly status: 200; readonly authorizer: Readonly<Record<string, string>> }
  | { readonly status: 401 | 403 | 500; readonly reason: string }

/** Asks the Lambda authorizer of `$connect`, which answers with an IAM policy. Results are not cached. */
export async function authorizeConnect(
  authorizer: LambdaAuthorizer,
  info: ConnectionInfo,
  event: WebSocketEvent,
  invoke: Lambda['invoke'],
): Promise<ConnectAuthorization> {
  const identity = authorizer.identitySource.map((source) => identityValue(source, event))
  if (identity.some((value) => value === undefined || value === '')) return { status: 401, reason: 'Unauthorized' }
  const methodArn = `arn:aws:execute-api:${REGION}:${ACCOUNT_ID}:${info.apiId}/${info.stage}/$connect`
  const { functionError, payload } = await invoke(authorizer.functionArn, { type: 'REQUEST', methodArn, ...event })
  if (functionError) return { status: 500, reason: `the authorizer failed: ${JSON.stringify(payload)}` }
  const authorization = readPolicy(payload)
  if (authorization.outcome === 'failed') return { status: 500, reason: authorization.reason }
  if (authorization.outcome !== 'allowed') return { status: 403, reason: 'Forbidden' }
  const context = Object.entries(authorization.context).map(([key, value]) => [key, String(value)])
  const { principalId } = payload as { principalId?: unknown }
  return { status: 200, authorizer: { ...Object.fromEntries(context), principalId: String(principalId ?? '') } }
}

function identityValue(source: string, event: WebSocketEvent): string | undefined {
  const [, kind, name = ''] = /^route\.request\.(header|querystring)\.(.+)$/.exec(source) ?? []
  if (kind === undefined) throw new Error(`The local gateway does not know the identity source ${source}`)
  const values = (kind === 'header' ? event.headers : event.queryStringParameters) as Record<string, string> | undefined
  const same = (key: string) => (kind === 'header' ? key.toLowerCase() === name.toLowerCase() : key === name)
  return Object.entries(values ?? {}).find(([key]) => same(key))?.[1]
}
