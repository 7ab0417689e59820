import { DeleteSecretCommand, ResourceNotFoundException, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { TEAM_SECRETS } from '../../contracts/team-resources.ts'
import { TeamIdSchema } from '../../domain/actor.ts'
import type { TeamSecrets } from '../../domain/teams/ports.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'

/** The secrets that operators have stored for teams, by their fixed names below `prefix`. */
export function createTeamSecrets(prefix: string): TeamSecrets {
  const client = new SecretsManagerClient(AWS_CLIENT_DEFAULTS)
  return {
    async deleteAll(teamId) {
      const team = TeamIdSchema.parse(teamId)
      for (const name of Object.values(TEAM_SECRETS)) {
        const secret = { SecretId: `${prefix}/${team}/${name}`, ForceDeleteWithoutRecovery: true }
        try {
          await client.send(new DeleteSecretCommand(secret))
        } catch (error) {
          if (!(error instanceof ResourceNotFoundException)) throw error
        }
      }
    },
  }
}
