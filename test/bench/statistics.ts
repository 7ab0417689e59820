/** Numbers as the bench prints them. */
export interface Sample {
  readonly p50: number
  readonly p99: number
}

export function sample(values: readonly number[]): Sample {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

export const ms = (value: number): string => `${value.toFixed(1)} ms`
export const rate = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e3).toFixed(0)} kB/s`
export const times = (ratio: number): string => `${ratio < 1 ? ratio.toFixed(2) : ratio.toFixed(1)}x`

/** A table for a terminal; the first row is its head. */
export function printTable(title: string, rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  console.log(`\n${title}`)
  for (const row of rows)
    console.log(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
}
