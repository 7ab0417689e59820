import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type * as z from 'zod'
import { type FilesAnswer, FilesRequestSchema } from '../../../../shared/contracts/files.ts'
import { LAMBDA_MAX_RESPONSE_BYTES } from '../../../../shared/contracts/limits.ts'
import type { Log } from '../../../common/src/log.ts'
import { type AnswerPart, type MessagePart, Reassembly, type ReassemblyLimits, splitMessage } from './message-parts.ts'
import { FilesRefused, type FilesResult } from './team-files.ts'

export type FilesServerPorts = {
  readonly handle: (request: z.infer<typeof FilesRequestSchema>) => Promise<FilesResult>
  /** Hands a part of an answer to the link; false when it is down. */
  readonly send: (part: AnswerPart) => boolean
  readonly log: Log
}

/** Requests that are worked on at once; further ones wait. */
const AT_ONCE = 4
/** Requests that wait at most. */
const MAX_WAITING = 64

/** Bytes of an answer as a JSON string, which is how a Lambda function passes it on, with room for what stands around it. */
const MAX_ANSWER_BYTES = LAMBDA_MAX_RESPONSE_BYTES - 64 * 1024

/**
 * Answers the requests of the files API that come over the link in parts. Every request that can be read is answered once; an answer that
 * finds no link is lost, and who asked gives up by itself.
 */
export class FilesServer {
  readonly #ports: FilesServerPorts
  readonly #reassembly: Reassembly
  readonly #waiting: { id: string; text: string }[] = []
  #working = 0

  constructor(ports: FilesServerPorts, limits?: ReassemblyLimits) {
    this.#ports = ports
    this.#reassembly = new Reassembly(limits)
  }

  /** Requests are made again over a new link, because answers may have been lost with the old one. */
  linkLost(): void {
    this.#reassembly.reset()
  }

  accept(part: MessagePart): void {
    const message = this.#reassembly.accept(part)
    if (message === undefined) return
    if (message === 'dropped') this.#refuse(part.id, 'The request is too large, or too many are made at once')
    else if (this.#waiting.length >= MAX_WAITING) this.#refuse(part.id, 'Too many requests are made at once')
    else {
      this.#waiting.push({ id: part.id, text: message.text })
      this.#next()
    }
  }

  #refuse(id: string, message: string): void {
    this.#ports.log('WARN', 'A request of the files API was refused', { message })
    this.#answer(id, { ok: false, code: 'failed', message }).catch((error: unknown) => this.#unanswered(error))
  }

  #next(): void {
    if (this.#working >= AT_ONCE) return
    const request = this.#waiting.shift()
    if (request === undefined) return
    this.#working++
    this.#work(request.text)
      .then((answer) => this.#answer(request.id, answer))
      .catch((error: unknown) => this.#unanswered(error))
      .finally(() => {
        this.#working--
        this.#next()
      })
  }

  async #work(text: string): Promise<FilesAnswer> {
    const request = parse(text)
    if (request === undefined) return { ok: false, code: 'failed', message: 'This is not a request of the files API' }
    try {
      return { ok: true, result: await this.#ports.handle(request) }
    } catch (error) {
      if (error instanceof FilesRefused) return { ok: false, code: error.code, message: error.message.slice(0, 500) }
      this.#ports.log('ERROR', 'A request of the files API failed', { op: request.op, error: String(error) })
      return { ok: false, code: 'failed', message: 'Workspace sync could not do it' }
    }
  }

  #unanswered(error: unknown): void {
    this.#ports.log('ERROR', 'A request was not answered', { error: String(error) })
  }

  async #answer(id: string, answer: FilesAnswer): Promise<void> {
    const parts = (await partsOf(id, answer)) ?? (await partsOf(id, TOO_LONG)) ?? []
    if (!parts.every((part) => this.#ports.send(part)))
      this.#ports.log('WARN', 'An answer of the files API found no link')
  }
}

const TOO_LONG: FilesAnswer = {
  ok: false,
  code: 'too-large',
  message: 'The file has too many special characters to be shown',
}

const packed = promisify(gzip)

/**
 * Undefined when the answer is longer than can be passed on. What needs more than one message is packed when that makes fewer of them: source
 * code and listings take a third or less.
 */
async function partsOf(id: string, answer: FilesAnswer): Promise<readonly AnswerPart[] | undefined> {
  const text = JSON.stringify(answer)
  if (Buffer.byteLength(JSON.stringify(text)) > MAX_ANSWER_BYTES) return undefined
  const plain = splitMessage(id, text)
  if (plain?.length === 1) return plain
  const fewer = splitMessage(id, (await packed(text)).toString('base64'))
  if (!fewer || (plain && plain.length <= fewer.length)) return plain
  return fewer.map((part) => ({ ...part, encoding: 'gzip' }))
}

function parse(text: string): z.infer<typeof FilesRequestSchema> | undefined {
  try {
    return FilesRequestSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
