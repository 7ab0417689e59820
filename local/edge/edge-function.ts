import { createContext, Script } from 'node:vm'
import * as z from 'zod'
import type { ViewerRequestEvent } from './viewer-request-event.ts'

/**
 * CloudFront stops a function by its share of an edge server's time, around a millisecond ("Compute utilization"). This is wall time
 * on a machine that does other things meanwhile: only a loop without end comes near it.
 */
const TIME_LIMIT_MS = 250

/** What a viewer-request function made of a request. */
export interface Routing {
  readonly uri: string
  /** The origin it selected; undefined leaves the behaviour's own. */
  readonly originId: string | undefined
}

/** A CloudFront Function that can be run. */
export interface EdgeFunction {
  readonly name: string
  /** @throws EdgeFunctionFailed when the code throws, takes too long or does what this runtime does not imitate. */
  run(event: ViewerRequestEvent): Routing
}

/** A function could not be run or its result is not valid; CloudFront answers 503. */
export class EdgeFunctionFailed extends Error {
  constructor(functionName: string, reason: string) {
    super(`The edge function ${functionName}: ${reason}`)
    this.name = 'EdgeFunctionFailed'
  }
}

const IMPORT = /^\s*import\s+(\w+)\s+from\s+(?:'cloudfront'|"cloudfront");?/

/** Stands for the module `cloudfront`. Everything lives in the function's own realm, so that nothing of this process is in reach. */
const PRELUDE = `
var $selected
var $input
var $cloudfront = {
  selectRequestOriginById: function (id) {
    if (arguments.length !== 1) throw new Error('cf.selectRequestOriginById with overrides is not imitated')
    $selected = String(id)
  },
  updateRequestOrigin: function () { throw new Error('cf.updateRequestOrigin is not imitated') },
  createRequestOriginGroup: function () { throw new Error('cf.createRequestOriginGroup is not imitated') },
  kvs: function () { throw new Error('cf.kvs is not imitated') },
}`

/** One invocation. What the code changed beside the URI is told, so that nothing is dropped in silence. */
const INVOKE = `(function () {
  $selected = undefined
  var before = JSON.parse($input).request
  var result = handler(JSON.parse($input))
  if (!result || typeof result !== 'object') throw new Error('it returned nothing')
  if (typeof result.then === 'function') throw new Error('asynchronous functions are not imitated')
  if ('statusCode' in result) throw new Error('responses made by a function are not imitated')
  var changed = ['method', 'querystring', 'headers', 'cookies'].filter(function (member) {
    return JSON.stringify(result[member]) !== JSON.stringify(before[member])
  })
  return JSON.stringify({ uri: result.uri, originId: $selected, changed: changed })
})()`

const ResultSchema = z.object({
  uri: z.string().startsWith('/'),
  originId: z.string().optional(),
  changed: z.array(z.string()).max(0),
})

/**
 * Loads a function's code as the template has it into a realm of its own, which has the language and nothing of Node.
 *
 * @param originIds ids of the distribution's origins: no other can be selected.
 * @throws when the code cannot be compiled, has no `handler` or imports anything but `cloudfront`.
 */
export function loadEdgeFunction(name: string, code: string, originIds: ReadonlySet<string>): EdgeFunction {
  const source = code.replace(IMPORT, (_, local: string) => `const ${local} = $cloudfront;`)
  const realm = createContext({}, { name, codeGeneration: { strings: false, wasm: false } })
  new Script(PRELUDE).runInContext(realm)
  try {
    new Script(source, { filename: `${name}.js` }).runInContext(realm, { timeout: TIME_LIMIT_MS })
    new Script(`if (typeof handler !== 'function') throw new Error('it has no handler')`).runInContext(realm)
  } catch (error) {
    throw new EdgeFunctionFailed(name, messageOf(error))
  }
  const invocation = new Script(INVOKE, { filename: `${name}.invocation.js` })
  return {
    name,
    run(event) {
      realm.$input = JSON.stringify(event)
      let output: unknown
      try {
        output = invocation.runInContext(realm, { timeout: TIME_LIMIT_MS })
      } catch (error) {
        throw new EdgeFunctionFailed(name, messageOf(error))
      }
      const result = ResultSchema.safeParse(JSON.parse(String(output)))
      if (!result.success) throw new EdgeFunctionFailed(name, z.prettifyError(result.error))
      const { uri, originId } = result.data
      if (originId !== undefined && !originIds.has(originId))
        throw new EdgeFunctionFailed(name, `the distribution has no origin ${originId}`)
      return { uri, originId }
    },
  }
}

/** Errors of another realm are no instances of this one's Error. */
function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error)
}
