import * as z from 'zod'
import { AwsError } from '../common/aws-error.ts'

/** Source of patterns and bounds: the API references of CreateAccessPoint, RootDirectory, CreationInfo, PosixUser and Tag. */
const Id = z.number().int().min(0).max(4_294_967_295)
const PATH = /^(\/|(\/(?!\.)+[^$#<>;`|&?{}^*/\n]+){1,4})$/
const FILE_SYSTEM_ID = /^(arn:aws[-a-z]*:elasticfilesystem:[0-9a-z-:]+:file-system\/)?(?<id>fs-[0-9a-f]{8,40})$/

export const TagsSchema = z
  .array(
    z.object({
      Key: z
        .string()
        .min(1)
        .max(128)
        .regex(/^(?!aws:)/i, 'Tag keys that begin with aws: are reserved'),
      Value: z.string().max(256),
    }),
  )
  .max(50)
  .refine((tags) => new Set(tags.map(({ Key }) => Key)).size === tags.length, 'A tag key is given twice')

export const PosixUserSchema = z.object({
  Uid: Id,
  Gid: Id,
  SecondaryGids: z.array(Id).max(16).exactOptional(),
})

export const RootDirectorySchema = z.object({
  Path: z.string().min(1).max(100).regex(PATH).default('/'),
  CreationInfo: z.object({ OwnerUid: Id, OwnerGid: Id, Permissions: z.string().regex(/^[0-7]{3,4}$/) }).exactOptional(),
})

export const CreateAccessPointSchema = z.object({
  ClientToken: z.string().min(1).max(64),
  FileSystemId: z.string().max(128),
  PosixUser: PosixUserSchema.exactOptional(),
  RootDirectory: RootDirectorySchema.default({ Path: '/' }),
  Tags: TagsSchema.default([]),
})

/** Query members are texts. */
export const PageSchema = z.coerce.number().int().min(1)

/** The API's BadRequest, which is what the service answers to input that it cannot take. */
export function badRequest(message: string): AwsError {
  return new AwsError('BadRequest', message, { statusCode: 400 })
}

/** Reads input with a schema. Throws BadRequest. */
export function read<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const parsed = schema.safeParse(input)
  if (!parsed.success) throw badRequest(z.prettifyError(parsed.error))
  return parsed.data
}

/** The id of a file system that is named by id or ARN. Throws BadRequest. */
export function fileSystemIdOf(value: string): string {
  const id = FILE_SYSTEM_ID.exec(value)?.groups?.id
  if (id === undefined) throw badRequest(`Invalid file system id: ${value}`)
  return id
}
