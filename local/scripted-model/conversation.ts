import path from 'node:path'
import { HELP, parseInstruction, type Step } from './instructions.ts'
import type { ContentBlock, MessagesRequest, Reply } from './messages-api.ts'

/** Longest part of one tool result that is repeated in a final text, in UTF-16 units. */
const MAX_RESULT_CHARS = 2_000

type ToolResult = { readonly text: string; readonly failed: boolean }

/** Text that the CLI adds on its own: reminders, local command output, notes about an interruption. */
function isInstruction(text: string): boolean {
  return text !== '' && !/^<([\w-]+)[^>]*>[\s\S]*<\/\1>$/.test(text) && !text.startsWith('[Request interrupted')
}

function resultText(block: Extract<ContentBlock, { type: 'tool_result' }>): string {
  if (!('content' in block) || block.content === undefined) return ''
  if (typeof block.content === 'string') return block.content
  return block.content.map((part) => ('text' in part ? part.text : `(${part.type})`)).join('\n')
}

/** The last thing a person asked for, and the results of the tool calls made for it since. */
export function readConversation(request: MessagesRequest): { instruction: string; results: readonly ToolResult[] } {
  let instruction = ''
  let results: ToolResult[] = []
  for (const message of request.messages) {
    if (message.role !== 'user') continue
    const blocks: readonly ContentBlock[] =
      typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content
    for (const block of blocks) {
      if ('tool_use_id' in block) {
        // The CLI's own markers around an error are for models; a person reads the error alone.
        const text = resultText(block).replace(/<\/?tool_use_error>/g, '')
        results.push({ text: text.trim(), failed: block.is_error === true })
      } else if ('text' in block) {
        const text = block.text.replace(/<system-reminder>[\s\S]*?<\/system-reminder>/g, '').trim()
        if (!isInstruction(text)) continue
        instruction = text
        results = []
      }
    }
  }
  return { instruction, results }
}

/** Where the CLI runs, from its system prompt: its file tools take absolute paths only. */
function workingDirectory(request: MessagesRequest): string | undefined {
  const system =
    typeof request.system === 'string' ? request.system : request.system?.map((block) => block.text).join('\n')
  return /^[ \-*]*(?:Primary )?working directory: (.+)$/im.exec(system ?? '')?.[1]?.trim()
}

function toToolUse(step: Step, cwd: string | undefined): NonNullable<Reply['toolUse']> {
  if (step.tool === 'Bash') return { name: 'Bash', input: { command: step.command, description: 'Run the command' } }
  const file_path = cwd === undefined ? step.path : path.posix.resolve(cwd, step.path)
  switch (step.tool) {
    case 'Write':
      return { name: 'Write', input: { file_path, content: step.content } }
    case 'Read':
      return { name: 'Read', input: { file_path } }
    case 'Edit':
      return { name: 'Edit', input: { file_path, old_string: step.from, new_string: step.to } }
  }
}

function announce(step: Step): string {
  switch (step.tool) {
    case 'Write':
      return `I will write ${step.path}.`
    case 'Read':
      return `I will read ${step.path}.`
    case 'Edit':
      return `I will edit ${step.path}.`
    case 'Bash':
      return `I will run: ${step.command}`
  }
}

function report(step: Step, result: ToolResult): string {
  const shown = result.text.slice(0, MAX_RESULT_CHARS)
  if (result.failed) return `This failed: ${announce(step).replace(/^I will /, '')}\n${shown}`
  if (step.tool === 'Write') return `Wrote ${step.path}.`
  if (step.tool === 'Edit') return `Edited ${step.path}.`
  if (step.tool === 'Read') return `Read ${step.path}:\n${shown}`
  return `Ran ${step.command}:\n${shown === '' ? '(no output)' : shown}`
}

/**
 * What the model says next, decided from the request alone: the first step without a result becomes a tool call; when
 * all are done, or one has failed, a final text tells what came of them.
 */
export function nextReply(request: MessagesRequest): Reply {
  const { instruction, results } = readConversation(request)
  const offered = new Set(request.tools?.map((tool) => tool.name))
  // Background requests (a title for the conversation, a summary) offer no tools and want a few words.
  if (offered.size === 0) return { text: instruction.split('\n')[0]?.slice(0, 60) || 'Scripted model' }
  const steps = parseInstruction(instruction)
  if (!steps) return { text: HELP }
  const failed = results.findIndex((result) => result.failed)
  const next = failed === -1 ? steps[results.length] : undefined
  if (next && !offered.has(next.tool)) return { text: `The tool ${next.tool} is not offered in this conversation.` }
  if (next) return { text: announce(next), toolUse: toToolUse(next, workingDirectory(request)) }
  const done = steps.slice(0, results.length).map((step, index) => ({ step, result: results[index] }))
  const lines = done.flatMap(({ step, result }, index) => {
    // The read before an edit is the CLI's requirement, not something that was asked for.
    const silent = step.tool === 'Read' && done[index + 1]?.step.tool === 'Edit' && result?.failed === false
    return result && !silent ? [report(step, result)] : []
  })
  const left = steps.length - results.length
  if (failed !== -1 && left > 0) lines.push(`I stopped there; not done: ${left} more.`)
  return { text: lines.join('\n') }
}
