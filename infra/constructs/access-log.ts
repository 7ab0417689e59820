import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import { type IAccessLogSettings, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2'
import type { LogGroup } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import type { StageConfig } from '../config.ts'
import { logGroup } from '../deployment.ts'

/**
 * Fields of both kinds of API ("Customize HTTP API access logs" and "Configure logging for WebSocket APIs" in API Gateway's guide).
 * No path, query string or header: tokens, tickets and session ids travel there.
 */
const COMMON = {
  requestId: '$context.requestId',
  time: '$context.requestTimeEpoch',
  ip: '$context.identity.sourceIp',
  routeKey: '$context.routeKey',
  status: '$context.status',
  error: '$context.error.message',
  integrationStatus: '$context.integration.status',
  integrationLatencyMs: '$context.integration.latency',
  integrationError: '$context.integration.error',
}

const FIELDS = {
  http: {
    ...COMMON,
    protocol: '$context.protocol',
    responseBytes: '$context.responseLength',
    responseLatencyMs: '$context.responseLatency',
    authorizerError: '$context.authorizer.error',
  },
  webSocket: {
    ...COMMON,
    connectionId: '$context.connectionId',
    eventType: '$context.eventType',
    messageId: '$context.messageId',
  },
} as const

/** One JSON line a request in a log group of its own. Every value is a string, `status`, too. */
export function accessLog(
  scope: Construct,
  kind: keyof typeof FIELDS,
  config: StageConfig,
): { readonly group: LogGroup; readonly settings: IAccessLogSettings } {
  const group = logGroup(scope, 'AccessLogs', config)
  const format = AccessLogFormat.custom(JSON.stringify(FIELDS[kind]))
  return { group, settings: { destination: new LogGroupLogDestination(group), format } }
}
