import { isInFlight, type Message } from './message.ts'

/** Where messages stand that may be given out, in the order of giving out. */
export interface Shelf {
  /** Puts a message there: new, no longer delayed, or visible again. */
  put(message: Message): void
  /** Takes up to `count` messages off it. */
  take(count: number): Message[]
  /** Takes a message off it without giving it out; nothing happens when it does not stand there. */
  remove(message: Message): void
}

/** A standard queue's: first come, first served; a message that is visible again goes to the end. */
export function standardShelf(): Shelf {
  const messages = new Set<Message>()
  return {
    put: (message) => void messages.add(message),
    take(count) {
      const taken: Message[] = []
      for (const message of messages) {
        if (taken.length >= count) break
        taken.push(message)
        messages.delete(message)
      }
      return taken
    },
    remove: (message) => void messages.delete(message),
  }
}

/**
 * A FIFO queue's: within a message group in the order of sequence numbers, and nothing of a group is given out while one
 * of its messages is in flight or its head is delayed. A message stays on the shelf from its coming to its deletion; who
 * takes it must hide it at once.
 */
export function fifoShelf(now: () => number): Shelf {
  const groups = new Map<string, Message[]>()
  const sequence = (message: Message | undefined) => message?.sequenceNumber ?? ''

  return {
    put(message) {
      const id = message.groupId ?? ''
      const group = groups.get(id) ?? []
      if (group.includes(message)) return
      group.push(message)
      group.sort((one, other) => (sequence(one) < sequence(other) ? -1 : 1))
      groups.set(id, group)
    },
    take(count) {
      const taken: Message[] = []
      const oldestFirst = [...groups.values()].sort((one, other) => (sequence(one[0]) < sequence(other[0]) ? -1 : 1))
      for (const group of oldestFirst) {
        if (group.some((message) => isInFlight(message, now()))) continue
        for (const message of group) {
          if (taken.length >= count) return taken
          if (message.hiddenUntil > now()) break
          taken.push(message)
        }
      }
      return taken
    },
    remove(message) {
      const id = message.groupId ?? ''
      const left = (groups.get(id) ?? []).filter((other) => other !== message)
      if (left.length === 0) groups.delete(id)
      else groups.set(id, left)
    },
  }
}
