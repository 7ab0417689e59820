import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Message } from './message.ts'

/** The record of all queues' changes, from which they are read again after a restart. */
export interface QueueLog {
  /** The messages that were there when the log was opened, by queue. */
  readonly messages: ReadonlyMap<string, readonly Message[]>
  put(queue: string, message: Message): Promise<void>
  /** Writes down that a message was received, or that its visibility changed. */
  hold(queue: string, message: Message): Promise<void>
  remove(queue: string, messageId: string): Promise<void>
  /** Resolves when everything so far is in the file. */
  flushed(): Promise<void>
  close(): Promise<void>
}

type Entry =
  | { readonly put: Message; readonly queue: string }
  | {
      readonly hold: Pick<Message, 'id' | 'receiveCount' | 'hiddenUntil' | 'firstReceivedAt' | 'receipt'>
      readonly queue: string
    }
  | { readonly remove: string; readonly queue: string }

/** The file is written afresh when it has grown by this much, and by as much again as is alive. */
const COMPACT_AFTER_BYTES = 8 * 1_024 * 1_024

type Live = Map<string, Map<string, Message>>

function apply(live: Live, entry: Entry): void {
  const queue = live.get(entry.queue) ?? new Map<string, Message>()
  live.set(entry.queue, queue)
  if ('put' in entry) queue.set(entry.put.id, entry.put)
  else if ('remove' in entry) queue.delete(entry.remove)
  else {
    const message = queue.get(entry.hold.id)
    if (message) queue.set(message.id, { ...message, ...entry.hold })
  }
}

async function read(path: string): Promise<Live> {
  const live: Live = new Map()
  let text = ''
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line === '') continue
    try {
      apply(live, JSON.parse(line) as Entry)
    } catch (error) {
      // The last line may be cut off by a crash: what it said was never confirmed to anyone.
      if (index === lines.length - 1) break
      throw new Error(`${path}:${index + 1} is not JSON (${(error as Error).message}); remove the file to start afresh`)
    }
  }
  return live
}

/**
 * Opens the log; `path` undefined keeps nothing. Entries that come while a write is under way share the next. A write
 * reaches the operating system, so it survives the end of this process, not a power failure.
 */
export async function openQueueLog(path: string | undefined): Promise<QueueLog> {
  if (path === undefined) return memoryLog()
  const target = path
  const live = await read(target)
  const messages = new Map(
    [...live].map(([queue, byId]) => [queue, [...byId.values()].map((message) => ({ ...message }))]),
  )
  let file: FileHandle | undefined
  let bytes = 0
  let liveBytes = 0
  let pending: string[] = []
  let underWay: Promise<void> | undefined
  let torn = false

  async function compact(): Promise<void> {
    await file?.close()
    await mkdir(dirname(target), { recursive: true })
    const lines: string[] = []
    for (const [queue, byId] of live)
      for (const message of byId.values()) lines.push(`${JSON.stringify({ queue, put: message } satisfies Entry)}\n`)
    const fresh = await open(`${target}.new`, 'w', 0o600)
    await fresh.writeFile(lines.join(''))
    await fresh.close()
    await rename(`${target}.new`, target)
    file = await open(target, 'a', 0o600)
    bytes = liveBytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0)
  }

  async function write(): Promise<void> {
    while (pending.length > 0 || torn) {
      const text = pending.join('')
      pending = []
      // Until it has succeeded the file may end in a part of a line; writing it afresh mends that, and loses nothing.
      const afresh = torn || bytes > 2 * liveBytes + COMPACT_AFTER_BYTES
      torn = true
      if (afresh) await compact()
      else await file?.writeFile(text)
      torn = false
      bytes += Buffer.byteLength(text)
    }
  }

  function add(entry: Entry): Promise<void> {
    // Copied now: the message goes on changing.
    const line = JSON.stringify(entry)
    apply(live, JSON.parse(line) as Entry)
    pending.push(`${line}\n`)
    return flush()
  }

  function flush(): Promise<void> {
    underWay ??= write().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  await compact()
  return {
    messages,
    put: (queue, message) => add({ queue, put: message }),
    hold: (queue, { id, receiveCount, hiddenUntil, firstReceivedAt, receipt }) =>
      add({
        queue,
        hold: {
          id,
          receiveCount,
          hiddenUntil,
          ...(firstReceivedAt === undefined ? {} : { firstReceivedAt }),
          ...(receipt === undefined ? {} : { receipt }),
        },
      }),
    remove: (queue, messageId) => add({ queue, remove: messageId }),
    flushed: () => flush(),
    async close() {
      await flush()
      await file?.close()
    },
  }
}

function memoryLog(): QueueLog {
  const done = async () => {}
  return { messages: new Map(), put: done, hold: done, remove: done, flushed: done, close: done }
}
