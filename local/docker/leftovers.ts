import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { type Engine, EngineError, openEngine } from './engine-api.ts'
import { type Labels, labelsOf } from './labels.ts'

const Listed = z.array(z.object({ Id: z.string() }))
const Volumes = z.object({ Volumes: z.array(z.object({ Name: z.string() })).nullable() })

const fileOf = (stateDir: string) => join(stateDir, 'docker.json')

/** Writes down that an engine may hold something of this runtime, before it does. */
export async function rememberEngine(stateDir: string, host: string): Promise<void> {
  await mkdir(stateDir, { recursive: true })
  writeFileSync(fileOf(stateDir), JSON.stringify({ host }), { mode: 0o600 })
}

/** The engine holds nothing any more. */
export function forgetEngine(stateDir: string): void {
  rmSync(fileOf(stateDir), { force: true })
}

/** Removes what an earlier run, whatever engine it used, has left there. Rejects when that engine cannot be reached. */
export async function removeRemembered(stateDir: string): Promise<void> {
  if (!existsSync(fileOf(stateDir))) return
  const { host } = z.object({ host: z.string() }).parse(JSON.parse(readFileSync(fileOf(stateDir), 'utf8')))
  await removeLeftovers(openEngine(host), labelsOf(stateDir))
  forgetEngine(stateDir)
}

/** Removes the containers, volumes and networks of a runtime; its images stay. */
export async function removeLeftovers(engine: Engine, labels: Labels): Promise<void> {
  const containers = Listed.parse(
    await engine.call('GET', '/containers/json', { query: { all: 'true', filters: labels.filter() } }),
  )
  await Promise.all(containers.map(({ Id }) => removeContainer(engine, Id)))
  await removeVolumes(engine, labels.filter())
  const networks = Listed.parse(await engine.call('GET', '/networks', { query: { filters: labels.filter() } }))
  for (const { Id } of networks) await unlessGone(engine.call('DELETE', `/networks/${Id}`))
}

/** Kills and removes a container with its anonymous volumes. */
export async function removeContainer(engine: Engine, id: string): Promise<void> {
  await unlessGone(engine.call('DELETE', `/containers/${id}`, { query: { force: 'true', v: 'true' } }))
}

/** Removes the volumes that a filter finds. */
export async function removeVolumes(engine: Engine, filters: string): Promise<void> {
  const { Volumes: volumes } = Volumes.parse(await engine.call('GET', '/volumes', { query: { filters } }))
  for (const { Name } of volumes ?? []) await unlessGone(engine.call('DELETE', `/volumes/${Name}`))
}

/** 404: somebody else has removed it. 409 of a container: its removal is under way. */
async function unlessGone(call: Promise<unknown>): Promise<void> {
  await call.catch((error: unknown) => {
    const isGone =
      error instanceof EngineError && (error.status === 404 || /removal .* is already in progress/.test(error.message))
    if (!isGone) throw error
  })
}
