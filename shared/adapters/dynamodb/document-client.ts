import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, type TranslateConfig } from '@aws-sdk/lib-dynamodb'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

/**
 * `undefined` members of an item are left out; what cannot be marshalled (class instances, functions) throws instead of being
 * stored empty. Numbers are read as JavaScript's: a number with more digits than those hold, typed by hand into one field,
 * would otherwise make the whole item unreadable before a schema can judge the field.
 */
export const TRANSLATION: TranslateConfig = {
  marshallOptions: { removeUndefinedValues: true },
  unmarshallOptions: { wrapNumbers: Number },
}

let shared: DynamoDBDocumentClient | undefined

/** The execution environment's one DynamoDB client: connections are reused between invocations. */
export function documentClient(): DynamoDBDocumentClient {
  shared ??= DynamoDBDocumentClient.from(new DynamoDBClient(AWS_CLIENT_DEFAULTS), TRANSLATION)
  return shared
}
