/** The files API of the frontend's editor (its contract §3.4), and the same requests as they go to workspace sync over its link. */
import * as z from 'zod'

/** The working tree: `workspace`, which agents share, or the branch of a preview. The frontend says `main` for the former. */
const branch = z.string().min(1).max(255).default('main')
/** Relative to the working tree, with `/`. What it may not be is decided where the file system is. */
const path = z.string().min(1).max(4096)

export const ListFilesQuerySchema = z.object({ branch })
export const ReadFileQuerySchema = z.object({ branch, path })
/** `content` of more than `MAX_FILE_BYTES` as UTF-8 is 413. */
export const WriteFileBodySchema = z.object({ branch, path, content: z.string() })

export interface FileNode {
  readonly name: string
  readonly path: string
  readonly type: 'file' | 'directory'
  readonly children?: readonly FileNode[] | undefined
}
export const FileNodeSchema: z.ZodType<FileNode> = z.object({
  name: z.string(),
  path: z.string(),
  type: z.enum(['file', 'directory']),
  children: z.array(z.lazy(() => FileNodeSchema)).optional(),
})

export const ListFilesAnswerSchema = z.object({ files: z.array(FileNodeSchema), truncated: z.boolean() })
/** `content` of a binary file is empty: it cannot be shown as text. `size` in bytes. */
export const ReadFileAnswerSchema = z.object({
  path: z.string(),
  content: z.string(),
  isBinary: z.boolean(),
  size: z.number().int().min(0),
})
export const WriteFileAnswerSchema = z.object({ message: z.string(), path: z.string(), size: z.number().int().min(0) })

/** Over the link, as JSON in parts. */
export const FilesRequestSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('list'), ...ListFilesQuerySchema.shape }),
  z.object({ op: z.literal('read'), ...ReadFileQuerySchema.shape }),
  z.object({ op: z.literal('write'), ...WriteFileBodySchema.shape }),
])
export type FilesRequest = z.infer<typeof FilesRequestSchema>

/** Why workspace sync did not do it; each has its HTTP status in the errors table. */
export const FilesRefusalSchema = z.enum([
  'invalid-path',
  'not-found',
  'not-a-file',
  'too-large',
  'no-space',
  'not-ready',
  'failed',
])
export const FilesAnswerSchema = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    result: z.union([ListFilesAnswerSchema, ReadFileAnswerSchema, WriteFileAnswerSchema]),
  }),
  z.object({ ok: z.literal(false), code: FilesRefusalSchema, message: z.string().max(500) }),
])
export type FilesAnswer = z.infer<typeof FilesAnswerSchema>
