/** Fargate's legal sizes ("Amazon ECS task definition parameters for Fargate", task size): CPU units → MiB. */
import type { TaskSize } from '../../contracts/limits.ts'

const GIB = 1024
const range = (from: number, to: number, step: number): number[] =>
  Array.from({ length: (to - from) / step + 1 }, (_, i) => (from + i * step) * GIB)

const LEGAL: readonly (readonly [cpu: number, memory: readonly number[]])[] = [
  [256, [512, 1 * GIB, 2 * GIB]],
  [512, range(1, 4, 1)],
  [1024, range(2, 8, 1)],
  [2048, range(4, 16, 1)],
  [4096, range(8, 30, 1)],
  [8192, range(16, 60, 4)],
  [16384, range(32, 120, 8)],
]

/** The smallest legal size that has at least `cpu` units and `memory` MiB; undefined when Fargate has none. */
export function fargateSize({ cpu, memory }: TaskSize): TaskSize | undefined {
  for (const [units, memories] of LEGAL) {
    if (units < cpu) continue
    const fitting = memories.find((mib) => mib >= memory)
    if (fitting !== undefined) return { cpu: units, memory: fitting }
  }
  return undefined
}

/** `'2GB'`, `'512 MB'` or MiB as a number → MiB, rounded up. The format is checked by the route's schema. */
export function parseMemory(memory: string | number): number {
  if (typeof memory === 'number') return Math.ceil(memory)
  return Math.ceil(Number.parseFloat(memory) * (/gb\s*$/i.test(memory) ? GIB : 1))
}

/** vCPU as `'0.5'` or 0.5 → CPU units, rounded up. */
export const parseCpu = (cpu: string | number): number => Math.ceil(Number(cpu) * 1024)

/** As the frontend writes them: `2GB`, `512MB`; `1.0`, `0.25`. */
export const formatMemory = (mib: number): string => (mib % GIB === 0 ? `${mib / GIB}GB` : `${mib}MB`)
export const formatCpu = (units: number): string => {
  const vcpu = units / 1024
  return Number.isInteger(vcpu) ? vcpu.toFixed(1) : String(vcpu)
}
