import { matchesPattern, type Pattern } from '../eventbridge/event-pattern.ts'

/** A filter of an event source mapping: an event pattern over the record, in which `body` may be a pattern over its JSON. */
export type RecordFilter = Pattern

/**
 * Whether any filter wants the record; without filters all are wanted. A pattern over the body's fields does not match a
 * body that is not JSON, and one over its text does not match a body that is.
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
 */
export function matchesFilter(filters: readonly RecordFilter[], record: Readonly<Record<string, unknown>>): boolean {
  if (filters.length === 0) return true
  const parsed = { ...record, body: parseBody(String(record.body)) }
  return filters.some((filter) => matchesPattern(filter, parsed))
}

function parseBody(body: string): unknown {
  try {
    const value = JSON.parse(body) as unknown
    return typeof value === 'object' ? value : body
  } catch {
    // Plain text, which a pattern may match as a text.
    return body
  }
}
