import { REGION } from '../assembly/account.ts'
import type { FunctionConfiguration } from './function-configuration.ts'

/** The variables that Lambda itself sets. The last ones keep the developer's own AWS configuration out. */
export function runtimeVariables(
  { name, handler, memoryMb, directory }: FunctionConfiguration,
  accessKeyId: string,
  logGroupName: string,
  logStreamName: string,
): Record<string, string> {
  return {
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMb),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: logGroupName,
    AWS_LAMBDA_LOG_STREAM_NAME: logStreamName,
    LAMBDA_TASK_ROOT: directory,
    _HANDLER: handler,
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  }
}
