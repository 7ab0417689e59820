/** What was asked of one table since the start or the last reset. */
export interface TableUsage {
  /** Requests by operation; a transaction counts once for each table it touches. */
  readonly requests: Readonly<Record<string, number>>
  /** As DynamoDB would bill them: index writes included, transactions at twice the price. */
  readonly readUnits: number
  readonly writeUnits: number
}

/** Counts requests and units per table. */
export class Usage {
  readonly #tables = new Map<string, { requests: Record<string, number>; readUnits: number; writeUnits: number }>()

  request(table: string, operation: string): void {
    const { requests } = this.#of(table)
    requests[operation] = (requests[operation] ?? 0) + 1
  }

  read(table: string, units: number): void {
    this.#of(table).readUnits += units
  }

  write(table: string, units: number): void {
    this.#of(table).writeUnits += units
  }

  snapshot(): Readonly<Record<string, TableUsage>> {
    return structuredClone(Object.fromEntries(this.#tables))
  }

  reset(): void {
    this.#tables.clear()
  }

  #of(table: string) {
    let usage = this.#tables.get(table)
    if (!usage) {
      usage = { requests: {}, readUnits: 0, writeUnits: 0 }
      this.#tables.set(table, usage)
    }
    return usage
  }
}
