import type { TemplateApi } from '../http-api/template-api.ts'

/**
 * The key of the route for a message: the value at the API's selection expression when that is a route, otherwise
 * `$default`. Undefined when there is no `$default` either. A body that is not JSON goes to `$default`.
 */
export function selectRoute(
  { routeSelectionExpression, routes }: Pick<TemplateApi, 'routeSelectionExpression' | 'routes'>,
  body: string,
): string | undefined {
  const has = (key: string) => routes.some(({ routeKey }) => routeKey === key)
  const [, path] = /^\$\{?request\.body\.([^}]+)\}?$/.exec(routeSelectionExpression) ?? []
  if (path === undefined) throw new Error(`The local gateway cannot select routes by ${routeSelectionExpression}`)
  const selected = valueAt(body, path.split('.'))
  if (typeof selected === 'string' && !selected.startsWith('$') && has(selected)) return selected
  return has('$default') ? '$default' : undefined
}

function valueAt(body: string, path: readonly string[]): unknown {
  // A quick look spares parsing what cannot be an object, such as most Engine.IO packets.
  if (!body.trimStart().startsWith('{')) return undefined
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return undefined
  }
  for (const member of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, member)) return undefined
    value = (value as Record<string, unknown>)[member]
  }
  return value
}
