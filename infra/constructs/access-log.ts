import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import { type IAccessLogSettings, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2'
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

/** One JSON line a request in a log group of its own. */
export function accessLog(scope: Construct, kind: keyof typeof FIELDS, config: StageConfig): IAccessLogSettings {
  return {
    destination: new LogGroupLogDestination(logGroup(scope, 'AccessLogs', config)),
    format: AccessLogFormat.custom(JSON.stringify(FIELDS[kind])),
  }
}
