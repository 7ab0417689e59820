import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import * as z from 'zod'
import { REGION } from '../assembly/account.ts'
import type { SecretsManager } from './secrets-manager.ts'

/** Gives a secret of the template a value as an operator does, by its name or ARN. Rejects an empty one. */
export async function storeSecret(
  { url }: Pick<SecretsManager, 'url'>,
  secretId: string | undefined,
  value: string,
): Promise<void> {
  const client = new SecretsManagerClient({
    endpoint: url,
    region: REGION,
    credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
  })
  await client.send(new PutSecretValueCommand({ SecretId: secretId, SecretString: z.string().min(1).parse(value) }))
  client.destroy()
}
