import { describe, expect, it } from 'vitest'
import { StreamRenderer } from '../../../container-images/agent/src/stream-renderer.ts'

const ESC = String.fromCharCode(27)
/** Rendered text without colours. */
function render(...lines: (object | string)[]): string {
  const renderer = new StreamRenderer('/workspace')
  return lines
    .map((line) => renderer.render(typeof line === 'string' ? line : JSON.stringify(line)))
    .join('')
    .replaceAll(new RegExp(`${ESC}\\[\\d+m`, 'g'), '')
}

const delta = (text: string, parent_tool_use_id: string | null = null) => ({
  type: 'stream_event',
  parent_tool_use_id,
  event: { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
})
const event = (type: string) => ({ type: 'stream_event', parent_tool_use_id: null, event: { type } })
const toolUse = (name: string, input: object) => ({
  type: 'assistant',
  message: { content: [{ type: 'tool_use', id: 't', name, input }] },
})
const toolResult = (content: unknown, is_error: boolean) => ({
  type: 'user',
  message: { content: [{ type: 'tool_result', tool_use_id: 't', content, is_error }] },
})

describe('the renderer of a claude task', () => {
  it('shows text as it streams, once, and ends its line', () => {
    const whole = { type: 'assistant', message: { content: [{ type: 'text', text: 'Hello there' }] } }
    expect(render(event('message_start'), delta('Hello '), delta('there'), whole, event('content_block_stop'))).toBe(
      'Hello there\n',
    )
    expect(render(whole)).toBe('Hello there\n')
  })

  it('shows one line per tool with its main argument, relative to the workspace and without control characters', () => {
    expect(render(toolUse('Write', { file_path: '/workspace/src/a.ts', content: 'x' }))).toBe('● Write src/a.ts\n')
    expect(render(toolUse('Bash', { description: 'd', command: `ls\n${ESC}[2J` }))).toBe('● Bash ls [2J\n')
    expect(render(toolUse('TaskList', {}))).toBe('● TaskList\n')
    expect(render(toolUse('Bash', { command: 'x'.repeat(500) })).length).toBeLessThan(220)
    expect(render(delta('text'), toolUse('Read', { file_path: '/etc/hosts' }))).toBe('text\n● Read /etc/hosts\n')
  })

  it('shows errors of tools and nothing of successes', () => {
    expect(render(toolResult('<tool_use_error>No such file\nor so</tool_use_error>', true))).toBe(
      '  ✗ No such file or so\n',
    )
    expect(render(toolResult([{ type: 'text', text: 'Exit code 1' }], true))).toBe('  ✗ Exit code 1\n')
    expect(render(toolResult('fine', false))).toBe('')
  })

  it('shows how it ended', () => {
    const result = { type: 'result', subtype: 'success', is_error: false, num_turns: 2, duration_ms: 1540 }
    expect(render({ ...result, result: 'ok' })).toBe('✓ done in 1.5 s, 2 turns\n')
    expect(render({ ...result, is_error: true, result: 'Invalid API key' })).toBe('✗ Invalid API key\n')
    const retry = { type: 'system', subtype: 'api_retry', attempt: 2, max_retries: 10, error: 'overloaded' }
    expect(render(retry)).toBe('  ✗ overloaded, try 2 of 10\n')
    expect(render({ type: 'system', subtype: 'other', error: 'broken' })).toBe('other: broken\n')
    expect(render({ ...result, is_error: true, subtype: 'error_max_turns' })).toBe('✗ error_max_turns\n')
  })

  it('keeps a sub-agent’s words to itself, passes what is not JSON, skips what it does not know', () => {
    expect(render(delta('inner', 'toolu_1'))).toBe('')
    expect(render('plain words')).toBe('plain words\n')
    expect(render({ type: 'rate_limit_event', x: 1 }, '', { type: 'system', subtype: 'status' })).toBe('')
    expect(render({ type: 'system', subtype: 'init', model: 'claude-x' })).toBe('claude claude-x\n')
  })
})
