import * as z from 'zod'

/** The parts of the CLI's `stream-json` output that are shown; everything else passes unread. */
const Block = z.union([
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({ type: z.literal('tool_use'), name: z.string(), input: z.record(z.string(), z.unknown()) }),
  z.object({
    type: z.literal('tool_result'),
    is_error: z.boolean().optional(),
    content: z.union([z.string(), z.array(z.object({ type: z.string(), text: z.string().optional() }))]).optional(),
  }),
  z.object({ type: z.string() }),
])
const parent = { parent_tool_use_id: z.string().nullish() }
const Line = z.union([
  z.object({
    type: z.literal('stream_event'),
    ...parent,
    event: z.object({
      type: z.string(),
      delta: z.object({ type: z.string().optional(), text: z.string().optional() }).optional(),
    }),
  }),
  z.object({
    type: z.enum(['assistant', 'user']),
    ...parent,
    message: z.object({ id: z.string().optional(), content: z.union([z.string(), z.array(Block)]) }),
  }),
  z.object({
    type: z.literal('result'),
    subtype: z.string(),
    is_error: z.boolean(),
    result: z.string().optional(),
    num_turns: z.number().optional(),
    duration_ms: z.number().optional(),
  }),
  z.object({
    type: z.literal('system'),
    subtype: z.string(),
    model: z.string().optional(),
    error: z.string().optional(),
    attempt: z.number().optional(),
    max_retries: z.number().optional(),
  }),
])

const dim = (text: string) => `\u001b[2m${text}\u001b[22m`
const red = (text: string) => `\u001b[31m${text}\u001b[39m`
const bold = (text: string) => `\u001b[1m${text}\u001b[22m`

/** Longest argument or error line that is shown, in UTF-16 units. */
const MAX_LINE = 200

/** One line without control characters: arguments and errors are data, and must not move the cursor. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim()
  return clean.length > MAX_LINE ? `${clean.slice(0, MAX_LINE - 1)}…` : clean
}

/** The argument of a tool that says most about what it does. */
const MAIN_ARGUMENTS = [
  'command',
  'file_path',
  'notebook_path',
  'pattern',
  'url',
  'query',
  'description',
  'prompt',
  'skill',
]

function mainArgument(input: Readonly<Record<string, unknown>>, cwd: string): string {
  for (const name of MAIN_ARGUMENTS) {
    const value = input[name]
    if (typeof value === 'string') return oneLine(value.startsWith(`${cwd}/`) ? value.slice(cwd.length + 1) : value)
  }
  return ''
}

/**
 * Turns the CLI's `stream-json` lines into what a person reads in a terminal: text as it streams, one line per use of a
 * tool with its main argument, the first line of each error, and how it ended. Line breaks are `\n`; the terminal adds the rest.
 */
export class StreamRenderer {
  readonly #cwd: string
  #atLineStart = true
  /** Text of the current message has been shown piece by piece. */
  #streamed = false

  constructor(cwd: string) {
    this.#cwd = cwd
  }

  /** What one line of the CLI's output shows; a line that is not JSON is shown as it is. */
  render(line: string): string {
    if (line.trim() === '') return ''
    let json: unknown
    try {
      json = JSON.parse(line)
    } catch {
      return this.#line(line)
    }
    const parsed = Line.safeParse(json).data
    if (!parsed) return ''
    switch (parsed.type) {
      case 'stream_event':
        // A sub-agent's words are for the agent that called it; its tools are shown.
        return parsed.parent_tool_use_id ? '' : this.#event(parsed.event)
      case 'assistant':
      case 'user':
        return this.#message(parsed.type, parsed.message.content, !parsed.parent_tool_use_id)
      case 'result':
        return this.#result(parsed)
      case 'system':
        if (parsed.subtype === 'init') return this.#line(dim(`claude ${parsed.model ?? ''}`.trim()))
        if (parsed.subtype === 'api_retry')
          return this.#line(red(`  ✗ ${parsed.error ?? 'failed'}, try ${parsed.attempt} of ${parsed.max_retries}`))
        return parsed.error === undefined ? '' : this.#line(red(oneLine(`${parsed.subtype}: ${parsed.error}`)))
    }
  }

  #event(event: {
    readonly type: string
    readonly delta?: { readonly text?: string | undefined } | undefined
  }): string {
    if (event.type === 'message_start') this.#streamed = false
    if (event.type === 'content_block_stop') return this.#breakLine()
    const text = event.delta?.text
    if (event.type !== 'content_block_delta' || text === undefined || text === '') return ''
    this.#streamed = true
    this.#atLineStart = text.endsWith('\n')
    return text
  }

  #message(type: 'assistant' | 'user', content: string | readonly z.infer<typeof Block>[], own: boolean): string {
    if (typeof content === 'string') return ''
    let shown = ''
    for (const block of content) {
      if ('text' in block && type === 'assistant' && own && !this.#streamed) shown += this.#line(block.text)
      if ('input' in block)
        shown += this.#line(`${bold(`● ${block.name}`)} ${mainArgument(block.input, this.#cwd)}`.trimEnd())
      if ('content' in block && 'is_error' in block && block.is_error) {
        const text =
          typeof block.content === 'string' ? block.content : block.content?.map((part) => part.text ?? '').join('\n')
        const clean = (text ?? '').replace(/<\/?tool_use_error>/g, '').trim()
        shown += this.#line(red(`  ✗ ${oneLine(clean.split('\n').slice(0, 2).join(' ')) || 'failed'}`))
      }
    }
    return shown
  }

  #result(result: {
    readonly subtype: string
    readonly is_error: boolean
    readonly result?: string | undefined
    readonly num_turns?: number | undefined
    readonly duration_ms?: number | undefined
  }): string {
    if (result.is_error) return this.#line(red(`✗ ${oneLine(result.result ?? result.subtype)}`))
    const seconds = ((result.duration_ms ?? 0) / 1000).toFixed(1)
    return this.#line(dim(`✓ done in ${seconds} s, ${result.num_turns ?? 0} turns`))
  }

  #line(text: string): string {
    const start = this.#breakLine()
    this.#atLineStart = true
    return `${start}${text}\n`
  }

  #breakLine(): string {
    if (this.#atLineStart) return ''
    this.#atLineStart = true
    return '\n'
  }
}
