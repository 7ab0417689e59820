const GB = 1_024

interface Size {
  readonly cpu: number
  readonly memories: readonly number[]
}

function range(fromGb: number, toGb: number, stepGb: number): number[] {
  const steps: number[] = []
  for (let gb = fromGb; gb <= toGb; gb += stepGb) steps.push(gb * GB)
  return steps
}

/**
 * The legal pairs of CPU units and MiB of Fargate.
 * Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
 */
const SIZES: readonly Size[] = [
  { cpu: 256, memories: [512, 1 * GB, 2 * GB] },
  { cpu: 512, memories: range(1, 4, 1) },
  { cpu: 1_024, memories: range(2, 8, 1) },
  { cpu: 2_048, memories: range(4, 16, 1) },
  { cpu: 4_096, memories: range(8, 30, 1) },
  { cpu: 8_192, memories: range(16, 60, 4) },
  { cpu: 16_384, memories: range(32, 120, 8) },
]

/** CPU units of a task size such as `512`, `.5 vCPU` or `1 vCPU`; undefined when it is neither. */
export function cpuUnits(text: string): number | undefined {
  const vcpu = /^\s*([\d.]+)\s*vcpu\s*$/i.exec(text)
  const units = vcpu ? Number(vcpu[1]) * 1_024 : Number(text)
  return Number.isInteger(units) && units > 0 ? units : undefined
}

/** MiB of a task size such as `1024` or `1 GB`; undefined when it is neither. */
export function memoryMib(text: string): number | undefined {
  const gb = /^\s*([\d.]+)\s*gb\s*$/i.exec(text)
  const mib = gb ? Number(gb[1]) * GB : Number(text)
  return Number.isInteger(mib) && mib > 0 ? mib : undefined
}

/** Whether Fargate runs tasks of this size. */
export function isFargateSize(cpu: string, memory: string): boolean {
  const units = cpuUnits(cpu)
  const mib = memoryMib(memory)
  return mib !== undefined && SIZES.some((size) => size.cpu === units && size.memories.includes(mib))
}
