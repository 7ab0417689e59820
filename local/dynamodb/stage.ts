import type { TableDescription } from './dynalite.ts'

/** A table with what DynamoDB keeps beside its description. */
export interface TableRecord {
  readonly description: TableDescription
  /** The attribute that holds the expiry in Unix seconds; undefined when TTL is off. */
  readonly ttlAttribute?: string | undefined
}

/** A batch operation as LevelDB takes it. */
export type BatchOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: unknown }
  | { readonly type: 'del'; readonly key: string }

/** Writes that are to be committed together, and what they cost. Reads through a stage see them. */
export class Stage {
  readonly #committed: (key: string) => unknown
  /** `undefined` marks a deletion. */
  readonly #writes = new Map<string, unknown>()
  /** Table records to set, or with `undefined` to drop, when the batch has been written. */
  readonly tables = new Map<string, TableRecord | undefined>()
  /** Write request units by table, and by table and index, as DynamoDB would bill them. */
  readonly units = new Map<string, { table: number; indexes: Map<string, number> }>()

  constructor(committed: (key: string) => unknown) {
    this.#committed = committed
  }

  get(key: string): unknown {
    return this.#writes.has(key) ? this.#writes.get(key) : this.#committed(key)
  }

  put(key: string, value: unknown): void {
    this.#writes.set(key, value)
  }

  delete(key: string): void {
    this.#writes.set(key, undefined)
  }

  /** Adds write request units; without an index they are the table's own. */
  consume(table: string, units: number, index?: string): void {
    let used = this.units.get(table)
    if (!used) {
      used = { table: 0, indexes: new Map() }
      this.units.set(table, used)
    }
    if (index === undefined) used.table += units
    else used.indexes.set(index, (used.indexes.get(index) ?? 0) + units)
  }

  operations(): BatchOperation[] {
    return [...this.#writes].map(([key, value]) =>
      value === undefined ? { type: 'del', key } : { type: 'put', key, value },
    )
  }
}
