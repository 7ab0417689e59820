import * as z from 'zod'
import type { CloudAssembly } from '../assembly/cloud-assembly.ts'
import { type Docker, openDocker } from './docker-backend.ts'
import { DEFAULT_DOCKER_HOST } from './engine-api.ts'

/**
 * What an operator sets. `DOCKER_NETWORK=host` gives containers this machine's network instead of one of their own;
 * `CONTAINER_BASE` is the image that Dockerfiles build upon (`BASE`), `DOCKER` the command that builds.
 */
const VariablesSchema = z.object({
  DOCKER_HOST: z.string().min(1).default(DEFAULT_DOCKER_HOST),
  DOCKER_NETWORK: z.enum(['bridge', 'host']).default('bridge'),
  CONTAINER_BASE: z.string().min(1).exactOptional(),
  DOCKER: z.string().min(1).exactOptional(),
})

/** Opens the Docker engine that the environment names. Rejects with what a person can act upon. */
export async function openDockerOf(
  environment: Readonly<Record<string, string | undefined>>,
  options: { readonly stateDir: string; readonly onLog: (line: string) => void },
): Promise<Docker> {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const variables = VariablesSchema.safeParse(given)
  if (!variables.success) throw new Error(z.prettifyError(variables.error))
  const { DOCKER_HOST: host, DOCKER_NETWORK: network, CONTAINER_BASE: base, DOCKER: docker } = variables.data
  return openDocker({
    host,
    network,
    ...options,
    ...(base === undefined ? {} : { base }),
    ...(docker === undefined ? {} : { docker }),
  })
}

/** The images of the tasks that RunTask starts, each once. A service's is left out: it runs as a process, whatever tasks run as. */
export function imagesOfTemplate(assembly: CloudAssembly): string[] {
  const ofServices = new Set(assembly.ofType('AWS::ECS::Service').map(({ properties }) => properties.TaskDefinition))
  const definitions = assembly
    .ofType('AWS::ECS::TaskDefinition')
    .filter((definition) => !ofServices.has(definition.ref))
  const containers = definitions.flatMap(({ properties }) => properties.ContainerDefinitions as { Image: string }[])
  return [...new Set(containers.map(({ Image }) => Image))]
}
