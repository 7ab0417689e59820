/** The wire of the Anthropic Messages API, as far as the `claude` CLI uses it (docs.anthropic.com/en/api/messages). */
import * as z from 'zod'

const TextBlock = z.object({ type: z.literal('text'), text: z.string() })
const ToolResultBlock = z.object({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  is_error: z.boolean().optional(),
  content: z.union([z.string(), z.array(z.union([TextBlock, z.object({ type: z.string() })]))]).optional(),
})

/** A content block that the script reads; every other type (thinking, tool_use, image…) passes as its type alone. */
const ContentBlockSchema = z.union([TextBlock, ToolResultBlock, z.object({ type: z.string() })])
export type ContentBlock = z.infer<typeof ContentBlockSchema>

export const MessagesRequestSchema = z.object({
  model: z.string(),
  stream: z.boolean().optional(),
  system: z.union([z.string(), z.array(TextBlock)]).optional(),
  tools: z.array(z.object({ name: z.string() })).optional(),
  messages: z.array(z.object({ role: z.string(), content: z.union([z.string(), z.array(ContentBlockSchema)]) })).min(1),
})
export type MessagesRequest = z.infer<typeof MessagesRequestSchema>

/** What the model says next: text, and a tool call after it when it wants one. */
export type Reply = { readonly text: string; readonly toolUse?: { readonly name: string; readonly input: object } }

/** An answer as the API gives it whole; ids are made from the conversation's length, so the same request gets the same answer. */
export function toMessage(request: MessagesRequest, reply: Reply) {
  const toolUse = reply.toolUse && {
    type: 'tool_use' as const,
    id: `toolu_scripted_${request.messages.length}`,
    name: reply.toolUse.name,
    input: reply.toolUse.input,
  }
  return {
    id: `msg_scripted_${request.messages.length}`,
    type: 'message' as const,
    role: 'assistant' as const,
    model: request.model,
    content: [{ type: 'text' as const, text: reply.text }, ...(toolUse ? [toolUse] : [])],
    stop_reason: toolUse ? ('tool_use' as const) : ('end_turn' as const),
    stop_sequence: null,
    usage: { input_tokens: countTokens(request), output_tokens: Math.ceil(JSON.stringify(reply).length / 4) },
  }
}

/** A rough count, four characters a token: enough for a display and for the CLI's decision when to compact. */
export function countTokens(request: Pick<MessagesRequest, 'messages'>): number {
  return Math.ceil(JSON.stringify(request.messages).length / 4)
}

/** The same answer as server-sent events: text word by word, a tool's input as one piece of JSON. */
export function* toStream(message: ReturnType<typeof toMessage>): Generator<string> {
  const event = (type: string, data: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`
  yield event('message_start', {
    message: { ...message, content: [], stop_reason: null, usage: { ...message.usage, output_tokens: 1 } },
  })
  for (const [index, block] of message.content.entries()) {
    if (block.type === 'text') {
      yield event('content_block_start', { index, content_block: { type: 'text', text: '' } })
      for (const text of block.text.match(/\S+\s*|\s+/g) ?? [])
        yield event('content_block_delta', { index, delta: { type: 'text_delta', text } })
    } else {
      yield event('content_block_start', { index, content_block: { ...block, input: {} } })
      const partial_json = JSON.stringify(block.input)
      yield event('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json } })
    }
    yield event('content_block_stop', { index })
  }
  yield event('message_delta', {
    delta: { stop_reason: message.stop_reason, stop_sequence: null },
    usage: { output_tokens: message.usage.output_tokens },
  })
  yield event('message_stop', {})
}
