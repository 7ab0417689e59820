import * as z from 'zod'

/** A CloudFormation value before its intrinsic functions have been resolved. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

const JsonSchema: z.ZodType<Json> = z.json()
const JsonObject = z.record(z.string(), JsonSchema)

/** One resource as it stands in a template. */
export const TemplateResourceSchema = z.object({
  Type: z.string(),
  Properties: JsonObject.optional(),
  Condition: z.string().optional(),
  Metadata: JsonObject.optional(),
})
export type TemplateResource = z.infer<typeof TemplateResourceSchema>

/** The sections of a CloudFormation template that decide values. */
export const TemplateSchema = z.object({
  Resources: z.record(z.string(), TemplateResourceSchema).default({}),
  Parameters: z
    .record(z.string(), z.object({ Type: z.string(), Default: z.union([z.string(), z.number()]).optional() }))
    .default({}),
  Mappings: z.record(z.string(), z.record(z.string(), JsonObject)).default({}),
  Conditions: JsonObject.default({}),
  Outputs: z
    .record(
      z.string(),
      z.object({
        Value: JsonSchema,
        Condition: z.string().optional(),
        Export: z.object({ Name: JsonSchema }).optional(),
      }),
    )
    .default({}),
})
export type Template = z.infer<typeof TemplateSchema>

/** What the runtime reads of a cloud assembly's `manifest.json`. */
export const ManifestSchema = z.object({
  artifacts: z
    .record(
      z.string(),
      z.object({
        type: z.string(),
        properties: z
          .object({
            templateFile: z.string().optional(),
            stackName: z.string().optional(),
            directoryName: z.string().optional(),
            file: z.string().optional(),
          })
          .optional(),
      }),
    )
    .default({}),
})

/** What the runtime reads of an `*.assets.json` file. */
export const AssetManifestSchema = z.object({
  files: z
    .record(
      z.string(),
      z.object({
        source: z.object({ path: z.string().optional(), packaging: z.enum(['file', 'zip']).optional() }),
        destinations: z.record(z.string(), z.object({ objectKey: z.string() })),
      }),
    )
    .default({}),
  dockerImages: z
    .record(
      z.string(),
      z.object({
        source: z.object({
          directory: z.string().optional(),
          dockerFile: z.string().optional(),
          dockerBuildTarget: z.string().optional(),
          dockerBuildArgs: z.record(z.string(), z.string()).optional(),
          platform: z.string().optional(),
        }),
        destinations: z.record(z.string(), z.object({ repositoryName: z.string(), imageTag: z.string() })),
      }),
    )
    .default({}),
})
