import * as z from 'zod'
import type { CloudAssembly } from '../assembly/cloud-assembly.ts'
import { createTaskDefinitions } from '../ecs/task-definitions.ts'
import type { ContainerDefinition } from '../ecs/types.ts'

/** The gateway's service of the template, as far as it is run here: its one container. */
export interface TemplateGateway {
  readonly container: ContainerDefinition
  /** `PREVIEW_DOMAIN` of the container. */
  readonly domain: string
}

const ServiceSchema = z.object({ TaskDefinition: z.string(), LoadBalancers: z.array(z.unknown()).min(1) })

/** The one service of the template that stands behind a load balancer; undefined when there is none, and so no previews. */
export function gatewayOf(assembly: CloudAssembly): TemplateGateway | undefined {
  const services = assembly.ofType('AWS::ECS::Service')
  const [service] = services
  if (service === undefined) return undefined
  if (services.length > 1) throw new Error('The template has more services than the preview gateway')
  const { TaskDefinition } = ServiceSchema.parse(service.properties)
  const definitions = createTaskDefinitions({ resources: assembly.resources, registered: [], now: Date.now })
  const container = definitions.find(TaskDefinition)?.containerDefinitions[0]
  const domain = container?.environment?.find(({ name }) => name === 'PREVIEW_DOMAIN')?.value
  if (container === undefined || domain === undefined)
    throw new Error(`${service.logicalId} has no container with PREVIEW_DOMAIN`)
  return { container, domain }
}
