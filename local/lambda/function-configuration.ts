import * as z from 'zod'
import type { CloudAssembly, Resource } from '../assembly/cloud-assembly.ts'

/** One function as the runtime needs it. */
export interface FunctionConfiguration {
  readonly name: string
  readonly arn: string
  /** The unpacked bundle. */
  readonly directory: string
  /** For example `index.handler`. */
  readonly handler: string
  readonly timeoutSeconds: number
  readonly memoryMb: number
  readonly environment: Readonly<Record<string, string>>
  /** The most environments at once; undefined for the runtime's default. 0 refuses every invocation. */
  readonly reservedConcurrency?: number | undefined
  /** Retries of an asynchronous invocation that failed: 0 to 2; AWS's default is 2. */
  readonly maximumRetryAttempts?: number | undefined
  /** The age in seconds at which an asynchronous event is given up: 60 to 21,600; AWS's default is six hours. */
  readonly maximumEventAgeSeconds?: number | undefined
  /** ARN of the on-failure destination of asynchronous invocations. */
  readonly onFailureDestination?: string | undefined
  /** ARN of the dead-letter queue. */
  readonly deadLetterTarget?: string | undefined
}

const FunctionProperties = z.object({
  Code: z.object({ S3Key: z.string().optional() }),
  Handler: z.string().default(''),
  Runtime: z.string().default(''),
  Timeout: z.number().default(3),
  MemorySize: z.number().default(128),
  ReservedConcurrentExecutions: z.number().optional(),
  Environment: z.object({ Variables: z.record(z.string(), z.coerce.string()).default({}) }).default({ Variables: {} }),
  DeadLetterConfig: z.object({ TargetArn: z.string().optional() }).optional(),
})

const EventInvokeConfigProperties = z.object({
  FunctionName: z.string(),
  MaximumRetryAttempts: z.number().optional(),
  MaximumEventAgeInSeconds: z.number().optional(),
  DestinationConfig: z.object({ OnFailure: z.object({ Destination: z.string() }).optional() }).optional(),
})

/** A function of the template that the runtime does not run, and why. */
export interface SkippedFunction {
  readonly resource: Resource
  readonly reason: string
}

/**
 * The functions of an assembly. Those without a Node bundle, such as CDK's own custom resource providers, are skipped
 * and listed. Defaults are Lambda's own: 3 seconds and 128 MB.
 */
export function functionsOf(assembly: CloudAssembly): {
  functions: FunctionConfiguration[]
  skipped: SkippedFunction[]
} {
  const functions: FunctionConfiguration[] = []
  const skipped: SkippedFunction[] = []
  const invokeConfigs = assembly
    .ofType('AWS::Lambda::EventInvokeConfig')
    .map((resource) => EventInvokeConfigProperties.parse(resource.properties))
  for (const resource of assembly.ofType('AWS::Lambda::Function')) {
    const properties = FunctionProperties.parse(resource.properties)
    const asset = properties.Code.S3Key === undefined ? undefined : assembly.assets.file(properties.Code.S3Key)
    if (!properties.Runtime.startsWith('nodejs')) {
      skipped.push({ resource, reason: `its runtime is ${properties.Runtime || 'an image'}` })
    } else if (!asset) {
      skipped.push({ resource, reason: 'its code is not an asset of the assembly' })
    } else {
      const config = invokeConfigs.find(({ FunctionName }) => [resource.ref, resource.arn].includes(FunctionName))
      functions.push({
        name: resource.ref,
        arn: resource.arn,
        directory: asset.path,
        handler: properties.Handler,
        timeoutSeconds: properties.Timeout,
        memoryMb: properties.MemorySize,
        environment: properties.Environment.Variables,
        reservedConcurrency: properties.ReservedConcurrentExecutions,
        maximumRetryAttempts: config?.MaximumRetryAttempts,
        maximumEventAgeSeconds: config?.MaximumEventAgeInSeconds,
        onFailureDestination: config?.DestinationConfig?.OnFailure?.Destination,
        deadLetterTarget: properties.DeadLetterConfig?.TargetArn,
      })
    }
  }
  return { functions, skipped }
}
