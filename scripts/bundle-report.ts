/**
 * Size and import time of every bundled function: `node scripts/bundle-report.ts [--update]`. Fails when a bundle is larger
 * than its budget in bundle-budget.json, which `--update` rewrites. Times are of this machine and never fail anything.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { capabilityEnv, functions } from '../shared/contracts/functions.ts'
import { FUNCTIONS_DIRECTORY } from './bundle-functions.ts'

const BUDGET_FILE = join(import.meta.dirname, 'bundle-budget.json')
/** Bytes by function id. */
const BudgetSchema = z.record(z.string(), z.number().int().positive())
export type Budget = z.infer<typeof BudgetSchema>

/** Room a budget leaves above today's size: a fix fits in, a second SDK client does not. */
const HEADROOM = 1.1
/** Budgets are multiples of this, so that an update does not touch every line. Bytes. */
const STEP = 10_000
/** Imports of one bundle; the fastest counts, because only slower ones are disturbed. */
const IMPORTS = 3

/** @returns one line for each bundle that is over its budget or has none, and each budget that has no bundle. */
export function overBudget(sizes: Budget, budget: Budget): readonly string[] {
  const grown = Object.entries(sizes).flatMap(([id, bytes]) => {
    const allowed = budget[id]
    if (allowed === undefined) return [`${id}: ${bytes} bytes and no budget`]
    return bytes > allowed ? [`${id}: ${bytes} bytes, ${bytes - allowed} over its budget of ${allowed}`] : []
  })
  const stale = Object.keys(budget).filter((id) => !(id in sizes))
  return [...grown, ...stale.map((id) => `${id}: a budget and no bundle`)]
}

/** The budget that today's sizes would get. */
export function budgetFor(sizes: Budget): Budget {
  return Object.fromEntries(
    Object.entries(sizes).map(([id, bytes]) => [id, Math.ceil((bytes * HEADROOM) / STEP) * STEP]),
  )
}

/** A value for every variable of the contracts, so that a bundle's cold start runs to its end. */
function anyVariables(): Record<string, string> {
  const candidates = [
    'anything',
    'https://any.example/',
    'true',
    'ENABLED',
    'FARGATE',
    '1',
    'https://{label}.any.example',
  ]
  const shapes = Object.values(capabilityEnv).flatMap(({ shape }) => Object.entries<z.ZodType>(shape))
  const chosen = shapes.map(([key, schema]) => [key, candidates.find((value) => schema.safeParse(value).success) ?? ''])
  return { ...Object.fromEntries(chosen), STAGE: 'local', POWERTOOLS_SERVICE_NAME: 'bundle-report' }
}

/** Milliseconds to import a bundle in a fresh Node. @throws when the bundle cannot be imported, with its error. */
function importTime(file: string): number {
  const script = `const from = performance.now(); await import(${JSON.stringify(file)}); console.log(performance.now() - from); process.exit()`
  const times = Array.from({ length: IMPORTS }, () => {
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...anyVariables(), PATH: process.env.PATH, AWS_REGION: 'us-east-1' },
    })
    if (run.status !== 0) throw new Error(`${file} cannot be imported:\n${run.stderr}`)
    return Number(run.stdout)
  })
  return Math.min(...times)
}

if (import.meta.main) {
  const bundleOf = (id: string) => join(FUNCTIONS_DIRECTORY, id, 'index.mjs')
  const missing = Object.keys(functions).filter((id) => !existsSync(bundleOf(id)))
  if (missing.length > 0) throw new Error(`Not bundled: ${missing.join(', ')}. Run "npm run bundle" first.`)
  const sizes = Object.fromEntries(Object.keys(functions).map((id) => [id, statSync(bundleOf(id)).size]))
  if (process.argv.includes('--update')) {
    writeFileSync(BUDGET_FILE, `${JSON.stringify(budgetFor(sizes), null, 2)}\n`)
  }
  const budget = BudgetSchema.parse(JSON.parse(readFileSync(BUDGET_FILE, 'utf8')))
  console.log(`${'function'.padEnd(24)}${'kB'.padStart(8)}${'budget'.padStart(8)}${'import ms'.padStart(11)}`)
  for (const [id, bytes] of Object.entries(sizes)) {
    const time = importTime(bundleOf(id)).toFixed(0)
    const allowed = ((budget[id] ?? 0) / 1000).toFixed(0)
    console.log(`${id.padEnd(24)}${(bytes / 1000).toFixed(0).padStart(8)}${allowed.padStart(8)}${time.padStart(11)}`)
  }
  const findings = overBudget(sizes, budget)
  for (const finding of findings) console.error(finding)
  process.exitCode = findings.length === 0 ? 0 : 1
}
