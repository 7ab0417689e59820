import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Annotations, CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager'
import {
  AccessLevel,
  AllowedMethods,
  type BehaviorOptions,
  CachePolicy,
  Distribution,
  Function as EdgeFunction,
  FunctionCode,
  FunctionEventType,
  FunctionRuntime,
  HeadersFrameOption,
  HeadersReferrerPolicy,
  HttpVersion,
  type IOrigin,
  OriginProtocolPolicy,
  OriginRequestPolicy,
  PriceClass,
  ResponseHeadersPolicy,
  SecurityPolicyProtocol,
  ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront'
import { HttpOrigin, S3BucketOrigin } from 'aws-cdk-lib/aws-cloudfront-origins'
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket, ObjectOwnership } from 'aws-cdk-lib/aws-s3'
import type { Construct } from 'constructs'
import { acknowledge } from '../acknowledge.ts'
import { type Deployment, removalPolicy } from '../deployment.ts'
import type { SocketResources } from '../resources.ts'

export interface EdgeStackProps {
  readonly deployment: Deployment
  readonly httpApiId: string
  readonly sockets: SocketResources
}

const HTTP_API = 'http-api'
const WEB_SOCKET_API = 'web-socket-api'
const FRONTEND = 'frontend'

/**
 * Longer than the HTTP API takes for any answer (30 s), a held poll included: CloudFront sends a GET again that its origin has not
 * answered in time ("Origin response timeout" in its guide), and two polls of one Engine.IO session end it.
 */
const ORIGIN_READ_TIMEOUT = Duration.seconds(60)

/** One origin for the browser: the frontend's bucket, the HTTP API and the WebSocket API behind one distribution (ADR-030). */
export class EdgeStack extends Stack {
  /** The browser's one origin. */
  readonly appOrigin: string

  constructor(scope: Construct, id: string, { deployment, httpApiId, sockets }: EdgeStackProps) {
    super(scope, id, { description: 'Covibes control plane: one origin for the browser' })
    const { config } = deployment
    const { socketStage } = sockets
    const httpApi = this.apiOrigin(HTTP_API, httpApiId)
    const webSocketApi = this.apiOrigin(WEB_SOCKET_API, socketStage.api.apiId)
    const socketOrigin = this.viewerRequest('SocketOrigin', 'socket-origin.js', {
      stage: socketStage.stageName,
      httpApiOriginId: HTTP_API,
    })
    // The upgrade takes the behaviour's own origin, so that only polls depend on an origin being selected by a function.
    const socketBehavior: BehaviorOptions = { ...passThrough(webSocketApi), functionAssociations: [socketOrigin] }

    const bucket = this.frontendBucket(config)
    const distribution = new Distribution(this, 'Distribution', {
      comment: `Covibes ${config.stage}`,
      defaultBehavior: {
        origin: S3BucketOrigin.withOriginAccessControl(bucket, {
          originId: FRONTEND,
          // With LIST a missing file is 404; without it S3 answers 403 to whoever may not know what is there.
          originAccessLevels: [AccessLevel.READ, AccessLevel.LIST],
        }),
        viewerProtocolPolicy: ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        allowedMethods: AllowedMethods.ALLOW_GET_HEAD,
        cachePolicy: CachePolicy.CACHING_OPTIMIZED,
        compress: true,
        responseHeadersPolicy: this.securityHeaders(),
        functionAssociations: [this.viewerRequest('FrontendPath', 'frontend-path.js')],
      },
      additionalBehaviors: {
        '/api/*': passThrough(httpApi),
        '/socket.io': socketBehavior,
        '/socket.io/*': socketBehavior,
      },
      // Never reached by way of the function above; a request for the bare bucket would list it.
      defaultRootObject: 'index.html',
      httpVersion: HttpVersion.HTTP2_AND_3,
      priceClass: PriceClass.PRICE_CLASS_100,
      minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021,
      ...(config.appDomain === undefined || config.certificateArn === undefined
        ? {}
        : {
            domainNames: [config.appDomain],
            certificate: Certificate.fromCertificateArn(this, 'Certificate', config.certificateArn),
          }),
    })
    Annotations.of(distribution).acknowledgeWarning(
      '@aws-cdk/aws-cloudfront-origins:listBucketSecurityRisk',
      'A default root object is set, and the function rewrites every path that names no file.',
    )
    acknowledge(distribution, {
      'AwsSolutions-CFR1': "Teams work from anywhere; who may is decided by the existing server's accounts.",
      'AwsSolutions-CFR2':
        'Both APIs throttle, and every route but the open ones is authorized before its function runs; a web ACL is paid by the month and the team decides on it.',
      'AwsSolutions-CFR3':
        "CloudFront's logs hold query strings, and tokens and session ids travel there; the APIs log every request without them.",
      ...(config.certificateArn === undefined
        ? {
            'AwsSolutions-CFR4':
              "Without a domain of one's own the certificate, and with it the protocol, is CloudFront's.",
          }
        : {}),
    })
    this.appOrigin = `https://${config.appDomain ?? distribution.distributionDomainName}`
    new CfnOutput(this, 'AppUrl', { value: this.appOrigin, description: "The browser's one origin" })
    new CfnOutput(this, 'DistributionId', { value: distribution.distributionId })
    new CfnOutput(this, 'DistributionDomain', {
      value: distribution.distributionDomainName,
      description: 'What the DNS record of appDomain points to',
    })
    new CfnOutput(this, 'FrontendBucket', { value: bucket.bucketName, description: 'Holds the built frontend' })
  }

  private apiOrigin(originId: string, apiId: string): IOrigin {
    return new HttpOrigin(`${apiId}.execute-api.${this.region}.${this.urlSuffix}`, {
      originId,
      protocolPolicy: OriginProtocolPolicy.HTTPS_ONLY,
      readTimeout: ORIGIN_READ_TIMEOUT,
      keepaliveTimeout: Duration.seconds(60),
    })
  }

  /** A function of infra/edge, with `{{name}}` replaced by values known at synthesis. */
  private viewerRequest(id: string, file: string, values: Readonly<Record<string, string>> = {}) {
    const source = readFileSync(join(import.meta.dirname, '..', 'edge', file), 'utf8')
    const code = source.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
      const value = values[name]
      if (value === undefined) throw new Error(`${file}: no value for {{${name}}}`)
      return value
    })
    const edgeFunction = new EdgeFunction(this, id, {
      code: FunctionCode.fromInline(code),
      runtime: FunctionRuntime.JS_2_0,
      comment: file,
    })
    return { function: edgeFunction, eventType: FunctionEventType.VIEWER_REQUEST }
  }

  private frontendBucket(config: Deployment['config']): IBucket {
    const bucket = new Bucket(this, 'Frontend', {
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      removalPolicy: removalPolicy(config),
    })
    acknowledge(bucket, {
      'AwsSolutions-S1':
        'The built frontend is public anyway and read by the distribution alone; its access log would say nothing.',
    })
    // CDK's own declarations do not hold under exactOptionalPropertyTypes.
    return bucket as IBucket
  }

  /**
   * For the frontend only: the APIs' answers are the existing server's, previews bring their own. The policy does not say where scripts
   * may come from, because the frontend loads its editor from jsdelivr.
   */
  private securityHeaders(): ResponseHeadersPolicy {
    return new ResponseHeadersPolicy(this, 'SecurityHeaders', {
      comment: 'The frontend',
      securityHeadersBehavior: {
        strictTransportSecurity: { accessControlMaxAge: Duration.days(365), includeSubdomains: false, override: true },
        contentTypeOptions: { override: true },
        frameOptions: { frameOption: HeadersFrameOption.SAMEORIGIN, override: true },
        referrerPolicy: { referrerPolicy: HeadersReferrerPolicy.STRICT_ORIGIN_WHEN_CROSS_ORIGIN, override: true },
        contentSecurityPolicy: {
          contentSecurityPolicy: "frame-ancestors 'self'; base-uri 'self'; object-src 'none'",
          override: true,
        },
      },
    })
  }
}

/**
 * Every method, nothing cached, and everything that the viewer sent, `Authorization` too: that header is forwarded by a policy of all
 * viewer headers, and by no list. Only `Host` is the origin's own, without which API Gateway answers 403.
 */
function passThrough(origin: IOrigin): BehaviorOptions {
  return {
    origin,
    viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
    allowedMethods: AllowedMethods.ALLOW_ALL,
    cachePolicy: CachePolicy.CACHING_DISABLED,
    originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
    // CloudFront compresses only what its cache policy lets it cache in several encodings.
    compress: false,
  }
}
