import { mkdirSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { AbstractLevel } from 'abstract-level'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { AwsError } from '../common/aws-error.ts'
import {
  type Callback,
  type DynaliteStore,
  type Item,
  MAX_ITEM_BYTES,
  type RangeDb,
  type TableDescription,
} from './dynalite.ts'
import { Stage, type TableRecord } from './stage.ts'

type Level = AbstractLevel<string | Buffer | Uint8Array, string, unknown>

/** Key ranges: no table or index name contains `~`, and every item key sorts below it. */
export const KEYS = {
  tables: 't~',
  table: (table: string) => `t~${table}`,
  items: (table: string) => `i~${table}~`,
  index: (table: string, index: string) => `x~${table}~${index}~`,
  indexes: (table: string) => `x~${table}~`,
  expiries: (table: string) => `e~${table}~`,
  token: (token: string) => `k~${token}`,
  /** Client tokens in the order of their time. */
  tokenTimes: 'q~',
  tokenTime: (atMs: number, token: string) => `q~${String(atMs).padStart(15, '0')}~${token}`,
}
/** Sorts after every key that begins with the prefix before it. */
const END = '\x7f'

/**
 * The data: one LevelDB in a directory, or in memory. Reads see what is committed. Writes go through `write`, one after
 * the other, each committed in a single LevelDB batch: after a crash all of it is there or nothing.
 */
export class Store {
  readonly #level: Level
  readonly #tables = new Map<string, TableRecord>()
  #tail: Promise<unknown> = Promise.resolve()

  private constructor(level: Level) {
    this.#level = level
  }

  /** Opens the directory, which is created when missing. Rejects when another process has it open. */
  static async open(directory: string | undefined): Promise<Store> {
    const options = { keyEncoding: 'utf8', valueEncoding: 'json' } as const
    if (directory !== undefined) mkdirSync(directory, { recursive: true })
    const level: Level =
      directory === undefined
        ? (new MemoryLevel<string, unknown>(options) as unknown as Level)
        : (new ClassicLevel<string, unknown>(directory, options) as unknown as Level)
    try {
      await level.open()
    } catch (error) {
      const cause = (error as Error).cause ?? error
      throw new Error(`The local DynamoDB cannot open ${directory}: ${(cause as Error).message}`, { cause })
    }
    const store = new Store(level)
    for await (const [key, value] of level.iterator(rangeOf(KEYS.tables)))
      store.#tables.set(key.slice(KEYS.tables.length), value as TableRecord)
    return store
  }

  /**
   * Runs `work` alone and commits what it staged in one batch. When it throws, nothing is committed. The promise settles
   * when the batch has been written.
   */
  write<T>(work: (stage: Stage) => T | Promise<T>): Promise<T> {
    const run = this.#tail.then(async () => {
      const stage = new Stage((key) => this.get(key))
      const result = await work(stage)
      await this.#commit(stage)
      return result
    })
    this.#tail = run.catch(() => undefined) // the caller hears of the error; the next writer must not
    return run
  }

  async #commit(stage: Stage): Promise<void> {
    const operations = stage.operations()
    if (operations.length > 0) await this.#level.batch(operations)
    for (const [name, record] of stage.tables) {
      if (record) this.#tables.set(name, record)
      else this.#tables.delete(name)
    }
  }

  get(key: string): unknown {
    return this.#level.getSync(key)
  }

  /** Entries whose key begins with `prefix` and sorts below `before`, in order, at most `limit`. */
  entries(prefix: string, { before = END, limit = -1 } = {}): AsyncIterable<[string, unknown]> {
    return this.#level.iterator({ gte: prefix, lt: `${prefix}${before}`, limit })
  }

  tableNames(): string[] {
    return [...this.#tables.keys()].sort()
  }

  /** Throws `ResourceNotFoundException`. */
  table(name: string): TableRecord {
    const record = this.#tables.get(name)
    if (!record)
      throw new AwsError('ResourceNotFoundException', `Requested resource not found: Table: ${name} not found`)
    return record
  }

  hasTable(name: string): boolean {
    return this.#tables.has(name)
  }

  /** The committed data, or with a stage the data as the stage would leave it, in the form that dynalite's actions take. */
  view(stage?: Stage): StagedView {
    return new StagedView(this, stage, (range) => this.#level.values(range))
  }

  /** Waits for the writes under way and closes the files. */
  async close(): Promise<void> {
    await this.#tail
    await this.#level.close()
  }
}

function rangeOf(prefix: string): { gte: string; lt: string } {
  return { gte: prefix, lt: `${prefix}${END}` }
}

type ValueIterator = ReturnType<Level['values']>

/** dynalite's view of a store, and of a stage on it. */
export class StagedView implements DynaliteStore {
  readonly options = { maxItemSize: MAX_ITEM_BYTES }
  readonly stage: Stage | undefined
  readonly store: Store
  readonly #values: (range: object) => ValueIterator

  constructor(store: Store, stage: Stage | undefined, values: (range: object) => ValueIterator) {
    this.store = store
    this.stage = stage
    this.#values = values
  }

  getTable(
    name: string,
    checkStatus: boolean | Callback<TableDescription>,
    callback?: Callback<TableDescription>,
  ): void {
    const answer = typeof checkStatus === 'function' ? checkStatus : callback
    let description: TableDescription
    try {
      description = this.store.table(name).description
    } catch {
      const body = {
        __type: 'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException',
        message: 'Requested resource not found',
      }
      answer?.(Object.assign(new Error(body.message), { statusCode: 400, body }))
      return
    }
    answer?.(null, description)
  }

  getItemDb(table: string): RangeDb {
    return this.#range(KEYS.items(table))
  }

  getIndexDb(_type: string, table: string, index: string): RangeDb {
    return this.#range(KEYS.index(table, index))
  }

  #range(prefix: string): RangeDb {
    const staged = (): Stage => {
      if (!this.stage) throw new Error('A write outside of Store.write')
      return this.stage
    }
    return {
      get: (key, callback) => callback(null, (this.stage ?? this.store).get(prefix + key) as Item | undefined),
      put: (key, value, callback) => {
        staged().put(prefix + key, value)
        callback(null)
      },
      del: (key, callback) => {
        staged().delete(prefix + key)
        callback(null)
      },
      lock: (_key, run) => run((callback) => callback),
      createValueStream: (range) => this.#valueStream(prefix, range),
    }
  }

  #valueStream(
    prefix: string,
    range: { gte?: string; gt?: string; lt?: string; lte?: string; reverse?: boolean; limit?: number },
  ): NodeJS.ReadableStream {
    const { gte, gt, lt, lte, reverse = false, limit = -1 } = range
    const lower = gt === undefined ? { gte: prefix + (gte ?? '') } : { gt: prefix + gt }
    const upper = lte === undefined ? { lt: prefix + (lt ?? END) } : { lte: prefix + lte }
    const iterator = this.#values({ ...lower, ...upper, reverse, limit })
    return new Readable({
      objectMode: true,
      read() {
        iterator.nextv(100).then(
          (values) => {
            for (const value of values) this.push(value)
            if (values.length === 0) this.push(null)
          },
          (error) => this.destroy(error),
        )
      },
      destroy(error, callback) {
        iterator.close().then(() => callback(error), callback)
      },
    })
  }
}
