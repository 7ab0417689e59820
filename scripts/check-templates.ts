/**
 * Checks synthesized templates against the official resource schemas: `node scripts/check-templates.ts <assembly directory>…`.
 * Unknown resource types and properties, missing required properties and values of the wrong type are errors. It finds in
 * half a second what CloudFormation would tell minutes into a deployment.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { loadAwsServiceSpec } from '@aws-cdk/aws-service-spec'

type SpecDatabase = Awaited<ReturnType<typeof loadAwsServiceSpec>>
type Properties = ReturnType<SpecDatabase['all']>[number] extends infer E
  ? E extends { properties: infer P extends Record<string, { type: unknown }> }
    ? P
    : never
  : never
type PropertyType = Properties[string]['type']

/** Checks all templates of an assembly directory. @returns one line a finding: template, resource, property, what is wrong. */
export function checkTemplates(spec: SpecDatabase, directory: string): readonly string[] {
  const files = readdirSync(directory).filter((file) => file.endsWith('.template.json'))
  if (files.length === 0) throw new Error(`No templates in ${directory}: synthesize first.`)
  return files.flatMap((file) => {
    const template: { Resources?: Record<string, { Type: string; Properties?: Record<string, unknown> }> } = JSON.parse(
      readFileSync(join(directory, file), 'utf8'),
    )
    return checkTemplate(spec, template).map((finding) => `${basename(file, '.template.json')} ${finding}`)
  })
}

export interface TemplateLike {
  readonly Resources?: Readonly<
    Record<string, { readonly Type: string; readonly Properties?: Record<string, unknown> }>
  >
}

/** Checks one template. @returns one line a finding. */
export function checkTemplate(spec: SpecDatabase, template: TemplateLike): readonly string[] {
  return Object.entries(template.Resources ?? {}).flatMap(([id, resource]) => {
    const [schema] = spec.lookup('resource', 'cloudFormationType', 'equals', resource.Type)
    if (schema === undefined) return [`${id}: no resource type ${resource.Type}`]
    return checkProperties(spec, resource.Properties ?? {}, schema.properties, `${id} (${resource.Type})`)
  })
}

function checkProperties(spec: SpecDatabase, given: object, properties: Properties, path: string): readonly string[] {
  const unknown = Object.entries(given).flatMap(([name, value]) => {
    const property = properties[name]
    if (property === undefined) return [`${path}: no property ${name}`]
    return checkValue(spec, value, property.type, `${path}.${name}`)
  })
  const missing = Object.entries(properties)
    .filter(([name, property]) => property.required === true && !(name in given))
    .map(([name]) => `${path}: ${name} is required`)
  return [...unknown, ...missing]
}

function checkValue(spec: SpecDatabase, value: unknown, type: PropertyType, path: string): readonly string[] {
  // What a reference or function becomes is known to CloudFormation only.
  if (isIntrinsic(value)) return []
  const wrong = [`${path}: expected ${type.type}, got ${JSON.stringify(value)?.slice(0, 80)}`]
  switch (type.type) {
    case 'string':
    case 'date-time':
      return typeof value === 'object' ? wrong : []
    case 'integer':
    case 'number':
      return typeof value === 'object' || Number.isNaN(Number(value)) ? wrong : []
    case 'boolean':
      return [true, false, 'true', 'false'].includes(value as never) ? [] : wrong
    case 'array':
      if (!Array.isArray(value)) return wrong
      return value.flatMap((element, index) => checkValue(spec, element, type.element, `${path}[${index}]`))
    case 'map':
      if (!isRecord(value)) return wrong
      return Object.entries(value).flatMap(([key, entry]) => checkValue(spec, entry, type.element, `${path}.${key}`))
    case 'ref':
      if (!isRecord(value)) return wrong
      return checkProperties(spec, value, spec.get('typeDefinition', type.reference.$ref).properties, path)
    case 'union': {
      const findings = type.types.map((alternative) => checkValue(spec, value, alternative, path))
      return findings.some((found) => found.length === 0) ? [] : (findings[0] ?? wrong)
    }
    case 'json':
    case 'tag':
    case 'null':
      return []
    default:
      return [`${path}: the schema has a type that this check does not know`]
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isIntrinsic(value: unknown): boolean {
  if (!isRecord(value)) return false
  const [key, ...others] = Object.keys(value)
  return others.length === 0 && key !== undefined && /^(Ref$|Fn::)/.test(key)
}

if (import.meta.main) {
  const directories = process.argv.slice(2)
  if (directories.length === 0) throw new Error('Usage: node scripts/check-templates.ts <assembly directory>…')
  const spec = await loadAwsServiceSpec()
  const findings = directories.flatMap((directory) => checkTemplates(spec, directory))
  for (const finding of findings) console.error(finding)
  console.log(`checked ${directories.length} assemblies against the resource schemas: ${findings.length} findings`)
  process.exitCode = findings.length === 0 ? 0 : 1
}
