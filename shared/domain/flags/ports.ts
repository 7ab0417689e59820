/** An item as somebody typed it: nothing is known of its fields. Undefined: there is no item. */
export type RawFlags = Readonly<Record<string, unknown>> | undefined

export interface FlagStore {
  /** Both items as they are now (strongly consistent), in one round trip. @throws when the table cannot be read. */
  read(teamId: string): Promise<{ readonly team: RawFlags; readonly all: RawFlags }>
  /** The item for all teams. @throws when the table cannot be read. */
  readAll(): Promise<RawFlags>
}

/** Where a field that does not parse is reported to the operators. */
export interface FlagLog {
  warn(message: string, fields: Record<string, unknown>): void
}
