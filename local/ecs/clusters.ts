import { arn } from '../assembly/account.ts'
import { AwsError } from '../common/aws-error.ts'
import type { ResolvedResource } from './task-definitions.ts'

/** A cluster of the template. */
export interface Cluster {
  readonly name: string
  readonly arn: string
  readonly capacityProviders: ReadonlySet<string>
}

/** The template's clusters. */
export interface Clusters {
  /** By name or ARN; `default` when undefined. Throws ClusterNotFoundException. */
  get(nameOrArn: string | undefined): Cluster
  find(nameOrArn: string): Cluster | undefined
  list(): readonly Cluster[]
}

/** Reads `AWS::ECS::Cluster` and `AWS::ECS::ClusterCapacityProviderAssociations`. */
export function createClusters(resources: readonly ResolvedResource[]): Clusters {
  const associations = new Map<string, string[]>()
  for (const { type, properties } of resources)
    if (type === 'AWS::ECS::ClusterCapacityProviderAssociations')
      associations.set(String(properties.Cluster), (properties.CapacityProviders as string[] | undefined) ?? [])
  const clusters = resources
    .filter(({ type }) => type === 'AWS::ECS::Cluster')
    .map(({ ref, properties }): Cluster => {
      const name = (properties.ClusterName as string | undefined) ?? ref
      const clusterArn = arn('ecs', `cluster/${name}`)
      const declared = (properties.CapacityProviders as string[] | undefined) ?? []
      const associated = associations.get(name) ?? associations.get(ref) ?? associations.get(clusterArn) ?? []
      return { name, arn: clusterArn, capacityProviders: new Set([...declared, ...associated]) }
    })
  const find = (nameOrArn: string) => {
    const name = nameOrArn.replace(/^arn:.*:cluster\//, '')
    return clusters.find((cluster) => cluster.name === name)
  }
  return {
    find,
    get(nameOrArn = 'default') {
      const cluster = find(nameOrArn)
      if (!cluster) throw new AwsError('ClusterNotFoundException', 'Cluster not found.')
      return cluster
    },
    list: () => clusters,
  }
}
