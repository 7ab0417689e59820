import * as z from 'zod'
import { below, ProjectError, type ProjectFiles } from './types.ts'

/** What of a package.json matters here; a field of another shape than npm's is as if it were not there. */
const Names = z.record(z.string(), z.unknown()).catch({})
const PackageJsonSchema = z.object({
  scripts: z.record(z.string(), z.unknown()).catch({}).default({}),
  main: z.string().optional().catch(undefined),
  packageManager: z.string().optional().catch(undefined),
  dependencies: Names.default({}),
  devDependencies: Names.default({}),
  optionalDependencies: Names.default({}),
})

export type PackageJson = {
  /** Where it stands, for messages. */
  readonly path: string
  readonly main?: string
  readonly packageManager?: string
  script(name: string): string | undefined
  dependsOn(name: string): boolean
  readonly hasDependencies: boolean
}

/** The package.json of a directory, or undefined. Throws `ProjectError` when it cannot be read as one. */
export function readPackageJson(files: ProjectFiles, directory: string): PackageJson | undefined {
  const path = below(directory, 'package.json')
  const text = files.read(path)
  if (text === undefined) return undefined
  let parsed: z.infer<typeof PackageJsonSchema>
  try {
    // Some editors begin files with a byte order mark; npm takes it.
    parsed = PackageJsonSchema.parse(JSON.parse(text.replace(/^\uFEFF/, '')))
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : 'it is not an object'
    throw new ProjectError(`${path} cannot be read: ${why}`)
  }
  const dependencies = { ...parsed.optionalDependencies, ...parsed.devDependencies, ...parsed.dependencies }
  return {
    path,
    ...(parsed.main === undefined ? {} : { main: parsed.main }),
    ...(parsed.packageManager === undefined ? {} : { packageManager: parsed.packageManager }),
    script(name) {
      const script = Object.hasOwn(parsed.scripts, name) ? parsed.scripts[name] : undefined
      return typeof script === 'string' && script.trim() !== '' ? script.trim() : undefined
    },
    dependsOn: (name) => Object.hasOwn(dependencies, name),
    hasDependencies: Object.keys(dependencies).length > 0,
  }
}
