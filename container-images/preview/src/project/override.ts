import { parse as parseYaml } from 'yaml'
import * as z from 'zod'
import { ProjectTypeSchema } from '../../../../shared/contracts/preview-link.ts'
import { ProjectError, type ProjectFiles } from './types.ts'

/** Where a repository says how it is to be run; the first that is there counts. */
export const OVERRIDE_FILES = ['covibes.json', '.colabvibe.yml', '.colabvibe.yaml'] as const

const MAX_COMMAND = 2_000
const Command = z.string().trim().min(1, 'is empty').max(MAX_COMMAND)

const OverrideSchema = z.strictObject({
  type: ProjectTypeSchema.exclude(['custom', 'empty', 'unknown']).optional(),
  /** Where the project lies in the repository. */
  directory: z
    .string()
    .max(500)
    .transform((path) => path.replace(/^(?:\.\/)+|\/+$/g, '').replace(/^\.$/, ''))
    .refine((path) => path === '' || isInside(path), 'must be a directory inside the repository')
    .optional(),
  command: Command.optional(),
  /** `false`: nothing is installed. */
  install: z.union([Command, z.literal(false)]).optional(),
  /** The port is given by the control plane; this names the variable that the command reads it from. */
  port: z
    .string({ error: 'is the name of the variable that the command reads its port from; the port itself is assigned' })
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be the name of a variable')
    .optional(),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), z.string().max(4_000)).optional(),
})
export type Override = z.infer<typeof OverrideSchema> & { readonly file: string }

/** What the repository itself asks for; undefined when it says nothing. Throws `ProjectError` that names file and field. */
export function readOverride(files: ProjectFiles): Override | undefined {
  const file = OVERRIDE_FILES.find((name) => files.has(name))
  if (file === undefined) return undefined
  const checked = OverrideSchema.safeParse(parse(file, files.read(file)))
  if (checked.success) return { ...checked.data, file }
  const problems = checked.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `${issue.keys.join(', ')}: unknown, there are ${Object.keys(OverrideSchema.shape).join(', ')}`
      : issue.code === 'invalid_key'
        ? `${issue.path.join('.')}: is no name of a variable`
        : `${issue.path.length === 0 ? 'the file' : issue.path.join('.')}: ${issue.message}`,
  )
  throw new ProjectError(`${file}: ${problems.join('; ')}`)
}

function parse(file: string, text: string | undefined): unknown {
  if (text === undefined) throw new ProjectError(`${file} is too large`)
  try {
    // An alias bomb is refused by the parser's own bound.
    return file.endsWith('.json') ? JSON.parse(text.replace(/^\uFEFF/, '')) : (parseYaml(text) ?? {})
  } catch (error) {
    throw new ProjectError(`${file} cannot be read: ${(error as Error).message.split('\n')[0]}`)
  }
}

const isInside = (path: string): boolean =>
  !path.startsWith('/') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
