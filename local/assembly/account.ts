/** The one region, account and partition of the local runtime. */
export const REGION = 'us-east-1'
export const ACCOUNT_ID = '000000000000'
export const PARTITION = 'aws'
export const URL_SUFFIX = 'amazonaws.com'

/** An ARN in the local account and region. `region: ''` for services that have none, such as IAM. */
export function arn(service: string, resource: string, region: string = REGION): string {
  const account = service === 's3' ? '' : ACCOUNT_ID
  return `arn:${PARTITION}:${service}:${service === 's3' ? '' : region}:${account}:${resource}`
}
