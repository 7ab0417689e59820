import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IAMClient } from '@aws-sdk/client-iam'
import { onTestFinished } from 'vitest'
import { createIam, type Iam, type IamOptions } from '../../../../local/iam/iam.ts'

/** What lets ECS take on a role. */
export const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' }],
})

/** A fresh folder that goes with the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'covibes-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A started endpoint with a client; closed when the test ends. */
export async function startIam(options: IamOptions = {}): Promise<{ iam: Iam; client: IAMClient }> {
  const iam = await createIam(options)
  onTestFinished(() => iam.close())
  const client = new IAMClient({
    endpoint: iam.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  return { iam, client }
}
