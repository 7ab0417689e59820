import { REGION, URL_SUFFIX } from './account.ts'

/** An API Gateway v2 API of the assembly, as far as its URLs need it. */
export interface ApiIdentity {
  readonly apiId: string
  readonly logicalId: string
  readonly stack: string
  readonly protocolType: 'HTTP' | 'WEBSOCKET'
}

/** Where the local runtime serves what the templates address by AWS's host names. */
export interface LocalEndpoints {
  /**
   * The base URL of an API without a trailing slash, which takes the place of `{scheme}://{apiId}.execute-api…`. The
   * scheme `https` with a WebSocket API means its `@connections` management endpoint. What follows, such as the stage,
   * is kept.
   */
  api(api: ApiIdentity, scheme: 'https' | 'wss'): string
  /** Takes the place of `https://sqs.us-east-1.amazonaws.com` in queue URLs. */
  readonly sqs?: string | undefined
  /** Takes the place of `https://{distribution}.cloudfront.net`, without a trailing slash. */
  readonly app?: (() => string) | undefined
  /** Port that is put behind the hosts of previews, `http://{label}.….localhost`, which have none in the template. */
  readonly previewPort?: (() => number) | undefined
}

const EXECUTE_API = new RegExp(`(https|wss)://([a-z0-9]+)\\.execute-api\\.${REGION}\\.${URL_SUFFIX}`, 'g')
const DISTRIBUTION = /https:\/\/d[0-9a-z]{13}\.cloudfront\.net(?![\w.-])/g
const PREVIEW = /http:\/\/\{label\}\.(?:[a-z0-9-]+\.)*localhost(?![\w.:-])/g
const SQS = `https://sqs.${REGION}.${URL_SUFFIX}/`

/** Replaces the AWS endpoints in a finished string. An API of another account is left alone. */
export function localizeUrls(text: string, endpoints: LocalEndpoints, apis: ReadonlyMap<string, ApiIdentity>): string {
  const withApis = text.includes('.execute-api.')
    ? text.replace(EXECUTE_API, (url, scheme: 'https' | 'wss', apiId: string) => {
        const api = apis.get(apiId)
        return api ? endpoints.api(api, scheme) : url
      })
    : text
  return withPreviews(withApp(withSqs(withApis, endpoints), endpoints), endpoints)
}

function withApp(text: string, { app }: LocalEndpoints): string {
  return app && text.includes('.cloudfront.net') ? text.replace(DISTRIBUTION, () => app()) : text
}

function withPreviews(text: string, { previewPort }: LocalEndpoints): string {
  return previewPort && text.includes('{label}')
    ? text.replace(PREVIEW, (origin) => `${origin}:${previewPort()}`)
    : text
}

function withSqs(withApis: string, endpoints: LocalEndpoints): string {
  return endpoints.sqs === undefined ? withApis : withApis.replaceAll(SQS, `${endpoints.sqs.replace(/\/$/, '')}/`)
}
