import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

let shared: DynamoDBDocumentClient | undefined

/**
 * The execution environment's one DynamoDB client: connections are reused between invocations. `undefined` members of an
 * item are left out; what the SDK cannot marshal (class instances, functions) throws instead of being stored empty.
 */
export function documentClient(): DynamoDBDocumentClient {
  shared ??= DynamoDBDocumentClient.from(new DynamoDBClient(AWS_CLIENT_DEFAULTS), {
    marshallOptions: { removeUndefinedValues: true },
  })
  return shared
}
