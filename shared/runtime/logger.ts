/**
 * The one logger: JSON lines of a static message with fields beside it. Service name and level come from the variables
 * POWERTOOLS_SERVICE_NAME and LOG_LEVEL. Tokens, tickets and the bodies of inputs never go into a field.
 */
import { LogFormatter, Logger, LogItem } from '@aws-lambda-powertools/logger'
import type { LogAttributes, UnformattedAttributes } from '@aws-lambda-powertools/logger/types'
import { currentScope } from './correlation.ts'

/** Powertools' field names, and the fields of the scope that the line was written in. */
class ScopedFormatter extends LogFormatter {
  override formatAttributes(line: UnformattedAttributes, extra: LogAttributes): LogItem {
    const scope = currentScope()
    return new LogItem({
      attributes: {
        level: line.logLevel,
        message: line.message,
        timestamp: this.formatTimestamp(line.timestamp),
        service: line.serviceName,
        function_name: line.lambdaContext?.functionName,
        function_request_id: line.lambdaContext?.awsRequestId,
        cold_start: line.lambdaContext?.coldStart,
        correlationId: scope?.correlationId,
        ...scope?.fields,
        ...extra,
      },
    })
  }
}

export const logger = new Logger({ logFormatter: new ScopedFormatter() })
