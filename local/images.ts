import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { NETWORK_VARIABLES } from '../shared/contracts/network-variables.ts'
import type { CloudAssembly } from './assembly/cloud-assembly.ts'
import type { LocalImage } from './ecs/environment.ts'

const PackageSchema = z.object({ main: z.string().min(1) })

/**
 * What an image URI of the template is on this machine: the program that the image would run, from the same sources, found by
 * the `main` of the package beside the image's Dockerfile. Undefined for an image that is not built from this repository.
 */
export function imagesOf(assembly: CloudAssembly): (imageUri: string) => LocalImage | undefined {
  return (imageUri) => {
    const asset = assembly.assets.image(imageUri.split(':').at(-1) ?? '')
    if (!asset) return undefined
    const directory = dirname(join(asset.directory, asset.dockerFile))
    const manifest = join(directory, 'package.json')
    if (!existsSync(manifest)) return undefined
    const { main } = PackageSchema.parse(JSON.parse(readFileSync(manifest, 'utf8')))
    return { directory, entryPoint: [process.execPath, join(directory, main)], environment: networkEnvironment() }
  }
}

/** What an image built for this machine's network would have as its ENV. */
function networkEnvironment(): Record<string, string> {
  return Object.fromEntries(
    NETWORK_VARIABLES.flatMap((name): [string, string][] => (process.env[name] ? [[name, process.env[name]]] : [])),
  )
}
