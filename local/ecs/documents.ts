import { randomUUID } from 'node:crypto'
import { ACCOUNT_ID, REGION } from '../assembly/account.ts'
import type { BusEvent } from '../eventbridge/target-input.ts'
import type { Container, Task } from './types.ts'

/** Writes a point in time the way a document wants it: epoch seconds in an API answer, ISO 8601 in an event. */
type Clock = (epochMs: number) => number | string

const seconds: Clock = (epochMs) => epochMs / 1_000
const iso: Clock = (epochMs) => new Date(epochMs).toISOString()

const TIMES = [
  'connectivityAt',
  'createdAt',
  'executionStoppedAt',
  'pullStartedAt',
  'pullStoppedAt',
  'startedAt',
  'stoppingAt',
  'stoppedAt',
] as const

function times(task: Task, clock: Clock): Record<string, number | string> {
  const written: Record<string, number | string> = {}
  for (const name of TIMES) {
    const at = task[name]
    if (at !== undefined) written[name] = clock(at)
  }
  return written
}

function attachments(task: Task, type: string): unknown[] {
  const { attachmentId, networkInterfaceId, macAddress, subnetId, privateIPv4Address } = task.eni
  const details = [{ name: 'subnetId', value: subnetId }]
  // Until the interface exists only the subnet is known.
  if (task.eniStatus !== 'PRECREATED')
    details.push(
      { name: 'networkInterfaceId', value: networkInterfaceId },
      { name: 'macAddress', value: macAddress },
      { name: 'privateDnsName', value: `ip-${privateIPv4Address.replaceAll('.', '-')}.ec2.internal` },
      { name: 'privateIPv4Address', value: privateIPv4Address },
    )
  return [{ id: attachmentId, type, status: task.eniStatus, details }]
}

function networkInterfaces(task: Task): unknown[] {
  if (task.eniStatus === 'PRECREATED') return []
  return [{ attachmentId: task.eni.attachmentId, privateIpv4Address: task.eni.privateIPv4Address }]
}

function managedAgents(task: Task, container: Container, statusKey: 'status' | 'lastStatus'): unknown[] {
  if (!task.enableExecuteCommand) return []
  const status =
    container.lastStatus === 'RUNNING' ? 'RUNNING' : container.lastStatus === 'STOPPED' ? 'STOPPED' : 'PENDING'
  return [{ name: 'ExecuteCommandAgent', [statusKey]: status }]
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function common(task: Task): Record<string, unknown> {
  return defined({
    attributes: [{ name: 'ecs.cpu-architecture', value: task.cpuArchitecture }],
    availabilityZone: task.availabilityZone,
    capacityProviderName: task.capacityProviderName,
    clusterArn: task.clusterArn,
    connectivity: task.connectivity,
    cpu: task.cpu,
    desiredStatus: task.desiredStatus,
    enableExecuteCommand: task.enableExecuteCommand,
    ephemeralStorage: { sizeInGiB: task.ephemeralStorageGiB },
    group: task.group,
    launchType: task.launchType,
    lastStatus: task.lastStatus,
    memory: task.memory,
    overrides: task.overrides,
    platformVersion: task.platformVersion,
    startedBy: task.startedBy,
    stopCode: task.stopCode,
    stoppedReason: task.stoppedReason,
    taskArn: task.taskArn,
    taskDefinitionArn: task.taskDefinitionArn,
    version: task.version,
  })
}

function containerCommon(task: Task, container: Container): Record<string, unknown> {
  // What is known only when the image is there.
  const { imageDigest, runtimeId } = task.pullStoppedAt === undefined ? {} : container
  return defined({
    containerArn: container.containerArn,
    taskArn: task.taskArn,
    name: container.name,
    image: container.image,
    imageDigest,
    runtimeId,
    lastStatus: container.lastStatus,
    exitCode: container.exitCode,
    reason: container.reason,
    networkInterfaces: networkInterfaces(task),
    cpu: container.cpu,
    memory: container.memory,
    memoryReservation: container.memoryReservation,
  })
}

/** A task's health: that of its worst essential container with a health check, UNKNOWN when none has one. */
export function taskHealth(task: Task): 'HEALTHY' | 'UNHEALTHY' | 'UNKNOWN' {
  const states = task.containers.map((container) => container.healthStatus)
  if (states.includes('UNHEALTHY')) return 'UNHEALTHY'
  return states.includes('HEALTHY') ? 'HEALTHY' : 'UNKNOWN'
}

/** A task as RunTask, StopTask and DescribeTasks answer it. Tags only when asked for. */
export function taskDocument(task: Task, options: { tags: boolean }): Record<string, unknown> {
  return {
    attachments: attachments(task, 'ElasticNetworkInterface'),
    ...common(task),
    ...times(task, seconds),
    containers: task.containers.map((container) => ({
      ...containerCommon(task, container),
      networkBindings: [],
      healthStatus: container.healthStatus,
      managedAgents: managedAgents(task, container, 'lastStatus'),
    })),
    fargateEphemeralStorage: { sizeInGiB: task.ephemeralStorageGiB },
    healthStatus: taskHealth(task),
    inferenceAccelerators: [],
    platformFamily: 'Linux',
    tags: options.tags ? task.tags : [],
  }
}

/** An event of this service's as EventBridge carries it. */
export interface ServiceEvent extends BusEvent {
  readonly detail: Readonly<Record<string, unknown>>
}

/**
 * The event that tells a task's present state. Its fields are those of published events (`test/fixtures/ecs-events`):
 * no health, no tags, no platform family, the interface's type is `eni`, and times are ISO strings.
 */
export function taskStateChangeEvent(task: Task): ServiceEvent {
  const detail = {
    attachments: attachments(task, 'eni'),
    ...common(task),
    ...times(task, iso),
    containers: task.containers.map((container) => ({
      ...containerCommon(task, container),
      ...(task.enableExecuteCommand ? { managedAgents: managedAgents(task, container, 'status') } : {}),
    })),
    updatedAt: iso(task.updatedAt),
  }
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'ECS Task State Change',
    source: 'aws.ecs',
    account: ACCOUNT_ID,
    time: `${new Date(task.updatedAt).toISOString().slice(0, 19)}Z`,
    region: REGION,
    resources: [task.taskArn],
    // A copy: the task changes on, the event must not.
    detail: structuredClone(detail),
  }
}
