import type { Chunk, TerminalRef } from './schema.ts'

/** Reads are strongly consistent: a chunk whose write has been answered is seen. */
export interface TerminalLogReader {
  /** Chunks that begin at or above `position`, oldest first, at most `limit`. `more`: there may be others behind them. */
  readFrom(terminal: TerminalRef, position: number, limit: number): Promise<{ chunks: Chunk[]; more: boolean }>
  /** The newest `limit` chunks, oldest first. */
  readNewest(terminal: TerminalRef, limit: number): Promise<Chunk[]>
}

export interface TerminalLogStore extends TerminalLogReader {
  /** Adds the chunk unless there is one at its position; false then. */
  putIfAbsent(terminal: TerminalRef, chunk: Chunk): Promise<boolean>
  /** Lets the chunk at `position` live as long as one written at `now` (ms since the epoch). Nothing when it is gone. */
  keep(terminal: TerminalRef, position: number, now: number): Promise<void>
  /** Drops chunks that begin below `position`; may leave some for the next call. */
  removeBelow(terminal: TerminalRef, position: number): Promise<void>
}
