import { readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { ACCOUNT_ID, arn, PARTITION, REGION, URL_SUFFIX } from './account.ts'
import { Assets } from './assets.ts'
import { conditionHolds, resolveValue, type Scope } from './intrinsics.ts'
import { type ApiIdentity, type LocalEndpoints, localizeUrls } from './local-urls.ts'
import { arnOf, attributeOf, type Identity, refOf } from './physical-ids.ts'
import { ManifestSchema, type Template, type TemplateResource, TemplateSchema } from './template.ts'

/** One resource of the assembly with concrete local values. */
export interface Resource {
  readonly stack: string
  readonly logicalId: string
  /** For example `AWS::Lambda::Function`. */
  readonly type: string
  /** What `Ref` gives: the physical id. */
  readonly ref: string
  readonly arn: string
  /** Resolved on first use. Throws `UnresolvedExpression` for an expression that is not supported. */
  readonly properties: Readonly<Record<string, unknown>>
  /** The construct's path in the CDK app, for messages; undefined when the app leaves it out. */
  readonly constructPath: string | undefined
  attribute(name: string): string
}

/** A synthesized CDK app with all its stacks, resolved to the local account. */
export interface CloudAssembly {
  readonly directory: string
  /** Every resource whose condition holds, in the order of the templates. */
  readonly resources: readonly Resource[]
  readonly assets: Assets
  ofType(type: string): readonly Resource[]
  /** The resource with this `Ref` or ARN; undefined when there is none. */
  find(refOrArn: string): Resource | undefined
  /** Stack outputs by `Stack.OutputLogicalId`. */
  outputs(): Readonly<Record<string, unknown>>
}

/** What `loadAssembly` takes besides the directory. */
export interface AssemblyOptions {
  readonly endpoints: LocalEndpoints
  /** Which deployment this is, from 1, the default: task definitions are of another revision in each. */
  readonly deployment?: number
  /** Values of template parameters, by name; a parameter's own default is used otherwise. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** The value of `{{resolve:service:reference}}`; `undefined` leaves the text as it is. */
  readonly resolveDynamicReference?: ((service: string, reference: string) => string | undefined) | undefined
}

interface Stack {
  readonly name: string
  readonly template: Template
}

/**
 * Loads a cloud assembly (`cdk.out`) with all stacks, and those of its stages. Ids are a pure function of stack name and
 * logical id, so that they are the same at each start, but for the revisions of task definitions. Throws when a file is missing or is not a cloud assembly.
 */
export function loadAssembly(directory: string, options: AssemblyOptions): CloudAssembly {
  const assets = new Assets()
  const stacks = readStacks(resolve(directory), assets)
  return new ResolvedAssembly(resolve(directory), stacks, assets, options)
}

function readStacks(directory: string, assets: Assets): Stack[] {
  const manifest = ManifestSchema.parse(readJson(join(directory, 'manifest.json')))
  const stacks: Stack[] = []
  for (const [id, { type, properties = {} }] of Object.entries(manifest.artifacts)) {
    if (type === 'cdk:cloud-assembly' && properties.directoryName)
      stacks.push(...readStacks(join(directory, properties.directoryName), assets))
    if (type === 'cdk:asset-manifest' && properties.file) assets.addManifest(directory, properties.file)
    if (type === 'aws:cloudformation:stack' && properties.templateFile) {
      const template = TemplateSchema.parse(readJson(join(directory, properties.templateFile)))
      stacks.push({ name: properties.stackName ?? basename(id), template })
    }
  }
  return stacks
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file} cannot be read as part of a cloud assembly: ${(error as Error).message}`)
  }
}

class ResolvedAssembly implements CloudAssembly {
  readonly directory: string
  readonly assets: Assets
  readonly resources: readonly Resource[]
  readonly #options: AssemblyOptions
  readonly #stacks: readonly Stack[]
  readonly #exports = new Map<string, () => unknown>()
  readonly #apis = new Map<string, ApiIdentity>()
  readonly #byType: ReadonlyMap<string, Resource[]>
  readonly #byId = new Map<string, Resource>()
  readonly #scopes = new Map<Stack, Scope>()

  constructor(directory: string, stacks: readonly Stack[], assets: Assets, options: AssemblyOptions) {
    this.directory = directory
    this.assets = assets
    this.#options = options
    this.#stacks = stacks
    for (const stack of stacks) this.#scopes.set(stack, this.#scopeOf(stack))
    for (const stack of stacks) this.#collectExports(stack)
    for (const stack of stacks) this.#collectApis(stack)
    this.resources = stacks.flatMap((stack) => this.#resourcesOf(stack))
    this.#byType = Map.groupBy(this.resources, (resource) => resource.type)
    for (const resource of this.resources) {
      this.#byId.set(resource.ref, resource)
      this.#byId.set(resource.arn, resource)
    }
  }

  ofType(type: string): readonly Resource[] {
    return this.#byType.get(type) ?? []
  }

  find(refOrArn: string): Resource | undefined {
    return this.#byId.get(refOrArn)
  }

  outputs(): Readonly<Record<string, unknown>> {
    const outputs: Record<string, unknown> = {}
    for (const stack of this.#stacks) {
      const scope = this.#scope(stack)
      for (const [name, output] of Object.entries(stack.template.Outputs)) {
        const path = `${stack.name}.Outputs.${name}`
        if (output.Condition !== undefined && !conditionHolds(output.Condition, scope, path)) continue
        outputs[`${stack.name}.${name}`] = resolveValue(output.Value, scope, `${path}.Value`)
      }
    }
    return outputs
  }

  #scope(stack: Stack): Scope {
    const scope = this.#scopes.get(stack)
    if (!scope) throw new Error(`${stack.name} is not a stack of this assembly`)
    return scope
  }

  #scopeOf(stack: Stack): Scope {
    const pseudo: Readonly<Record<string, unknown>> = {
      'AWS::AccountId': ACCOUNT_ID,
      'AWS::NoValue': undefined,
      'AWS::NotificationARNs': [],
      'AWS::Partition': PARTITION,
      'AWS::Region': REGION,
      'AWS::StackId': arn('cloudformation', `stack/${stack.name}/local`),
      'AWS::StackName': stack.name,
      'AWS::URLSuffix': URL_SUFFIX,
    }
    const { Resources, Parameters } = stack.template
    return {
      template: stack.template,
      ref: (name) => {
        if (Object.hasOwn(pseudo, name)) return pseudo[name]
        if (Object.hasOwn(Resources, name)) return refOf(this.#identity(stack, name))
        const parameter = Parameters[name]
        const value = this.#options.parameters?.[name] ?? parameter?.Default
        if (parameter && value === undefined) throw new Error(`the parameter ${name} has neither a value nor a default`)
        if (!parameter) throw new Error(`there is no resource or parameter ${name}`)
        return /^(CommaDelimitedList|List<)/.test(parameter.Type) ? String(value).split(',') : String(value)
      },
      getAtt: (logicalId, attribute) => attributeOf(this.#identity(stack, logicalId), attribute),
      importValue: (name) => {
        const exported = this.#exports.get(name)
        if (!exported) throw new Error(`no stack exports ${name}`)
        return exported()
      },
      localize: (text) => this.#localize(text),
    }
  }

  #localize(text: string): string {
    const local = localizeUrls(text, this.#options.endpoints, this.#apis)
    const resolveReference = this.#options.resolveDynamicReference
    if (!resolveReference || !local.includes('{{resolve:')) return local
    return local.replace(
      /\{\{resolve:([a-z-]+):([^}]*)\}\}/g,
      (whole, service: string, reference: string) => resolveReference(service, reference) ?? whole,
    )
  }

  /** The values are computed at each use: a resource's name may depend on another's, in any order, but not on itself. */
  #identity(stack: Stack, logicalId: string): Identity {
    const resource = stack.template.Resources[logicalId]
    if (!resource) throw new Error(`there is no resource ${logicalId} in ${stack.name}`)
    const scope = this.#scope(stack)
    return {
      stack: stack.name,
      logicalId,
      type: resource.Type,
      deployment: this.#options.deployment ?? 1,
      property: (name) => {
        const value = resource.Properties?.[name]
        if (value === undefined) return undefined
        // Not localized: an ARN or id is AWS's own text wherever it is used.
        const plain = { ...scope, localize: (text: string) => text }
        const resolved = resolveValue(value, plain, `${stack.name}.${logicalId}.Properties.${name}`)
        return resolved === undefined ? undefined : String(resolved)
      },
    }
  }

  #collectExports(stack: Stack): void {
    const scope = this.#scope(stack)
    for (const [id, output] of Object.entries(stack.template.Outputs)) {
      if (!output.Export) continue
      const path = `${stack.name}.Outputs.${id}`
      const name = String(resolveValue(output.Export.Name, scope, `${path}.Export.Name`))
      // Resolved when imported, so that stacks need no order.
      this.#exports.set(name, () => resolveValue(output.Value, { ...scope, localize: (text) => text }, `${path}.Value`))
    }
  }

  #collectApis(stack: Stack): void {
    for (const [logicalId, resource] of Object.entries(stack.template.Resources)) {
      if (resource.Type !== 'AWS::ApiGatewayV2::Api') continue
      const identity = this.#identity(stack, logicalId)
      const apiId = refOf(identity)
      const protocolType = identity.property('ProtocolType') === 'WEBSOCKET' ? 'WEBSOCKET' : 'HTTP'
      this.#apis.set(apiId, { apiId, logicalId, stack: stack.name, protocolType })
    }
  }

  #resourcesOf(stack: Stack): Resource[] {
    const scope = this.#scope(stack)
    const exists = ([logicalId, { Condition }]: [string, TemplateResource]) =>
      Condition === undefined || conditionHolds(Condition, scope, `${stack.name}.${logicalId}.Condition`)
    return Object.entries(stack.template.Resources)
      .filter(exists)
      .map(([logicalId, resource]) => this.#resource(stack, logicalId, resource))
  }

  #resource(stack: Stack, logicalId: string, template: TemplateResource): Resource {
    const scope = this.#scope(stack)
    const identity = this.#identity(stack, logicalId)
    const constructPath = template.Metadata?.['aws:cdk:path']
    let properties: Readonly<Record<string, unknown>> | undefined
    return {
      stack: stack.name,
      logicalId,
      type: template.Type,
      ref: refOf(identity),
      arn: arnOf(identity),
      constructPath: typeof constructPath === 'string' ? constructPath : undefined,
      get properties() {
        const path = `${stack.name}.${logicalId}.Properties`
        properties ??= resolveValue(template.Properties ?? {}, scope, path) as Record<string, unknown>
        return properties
      },
      attribute: (name) => attributeOf(identity, name),
    }
  }
}
