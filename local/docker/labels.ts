import { createHash } from 'node:crypto'
import { resolve } from 'node:path'

/** The labels by which a runtime finds what is its own in an engine, also after a crash. */
export interface Labels {
  /** 12 digits that stand for the state folder. */
  readonly runtime: string
  /** The labels of something new, with these besides. */
  all(more?: Readonly<Record<string, string>>): Record<string, string>
  /** For the `filters` of a list: everything of this runtime, with this label besides. */
  filter(label?: string): string
}

const RUNTIME = 'covibes.runtime'

/** The labels of the runtime that keeps its state in this folder. */
export function labelsOf(stateDir: string): Labels {
  const runtime = createHash('sha256').update(resolve(stateDir)).digest('hex').slice(0, 12)
  return {
    runtime,
    all: (more = {}) => ({ [RUNTIME]: runtime, ...more }),
    filter: (label) => JSON.stringify({ label: [`${RUNTIME}=${runtime}`, ...(label === undefined ? [] : [label])] }),
  }
}
