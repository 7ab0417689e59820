import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { FunctionConfiguration } from '../../../../local/lambda/function-configuration.ts'
import { createLambda, type Lambda, type LambdaOptions } from '../../../../local/lambda/lambda.ts'

/** Writes a bundle of ESM source, which is removed after the test. */
export function bundle(source: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'bundle-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'index.mjs'), source)
  return directory
}

/** A function named `subject` of this source, running until the end of the test. */
export function lambdaOf(
  source: string,
  configuration: Partial<FunctionConfiguration> = {},
  options: Partial<LambdaOptions> = {},
): Lambda {
  const lambda = createLambda({
    functions: [
      {
        name: 'subject',
        arn: 'arn:aws:lambda:us-east-1:000000000000:function:subject',
        directory: bundle(source),
        handler: 'index.handler',
        timeoutSeconds: 10,
        memoryMb: 128,
        environment: {},
        ...configuration,
      },
    ],
    ...options,
  })
  onTestFinished(() => lambda.close())
  return lambda
}
