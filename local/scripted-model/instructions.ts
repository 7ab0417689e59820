/** One tool call that an instruction asks for. Paths are as written, commands are a shell's. */
export type Step =
  | { readonly tool: 'Write'; readonly path: string; readonly content: string }
  | { readonly tool: 'Read'; readonly path: string }
  | { readonly tool: 'Edit'; readonly path: string; readonly from: string; readonly to: string }
  | { readonly tool: 'Bash'; readonly command: string }

/** What the scripted model understands, as it tells people who ask for something else. */
export const HELP = `I am a scripted model, not Claude: I carry out these instructions and nothing else.
- write <path> [containing <text>]
- edit <path> replace <text> with <text>
- read <path>
- run <command>
Join several with " then ". Put text in double quotes when it holds " then " or " with "; \\n in it is a line break.`

const QUOTED_OR_WORD = String.raw`("(?:[^"\\]|\\.)*"|\S+)`
const WRITE = new RegExp(
  String.raw`^(?:write|create)\s+${QUOTED_OR_WORD}(?:\s+(?:with|containing)(?:\s+the\s+text)?\s+([\s\S]+))?$`,
  'i',
)
const EDIT = new RegExp(
  String.raw`^edit\s+${QUOTED_OR_WORD}\s+replace\s+("(?:[^"\\]|\\.)*"|[\s\S]+?)\s+with\s+([\s\S]+)$`,
  'i',
)
const READ = new RegExp(String.raw`^read\s+${QUOTED_OR_WORD}$`, 'i')
const RUN = /^run\s+([\s\S]+)$/i

/** Takes the quotes off and resolves `\n`, `\t`, `\"` and `\\`; text without quotes stays as it is but for `\n` and `\t`. */
function unquote(text: string): string {
  const trimmed = text.trim()
  const inner = /^"(?:[^"\\]|\\.)*"$/.test(trimmed) ? trimmed.slice(1, -1) : trimmed
  const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', '"': '"', '\\': '\\' }
  return inner.replace(/\\([nt"\\])/g, (whole, letter: string) => escapes[letter] ?? whole)
}

/** Splits at " then " outside double quotes. */
function splitSteps(text: string): string[] {
  const parts: string[] = []
  let rest = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '\\' && quoted) {
      rest += text.slice(i, i + 2)
      i++
      continue
    }
    if (char === '"') quoted = !quoted
    const joint = quoted ? null : /^,?\s+then\s+/i.exec(text.slice(i))
    if (joint) {
      parts.push(rest)
      rest = ''
      i += joint[0].length - 1
    } else rest += char
  }
  return [...parts, rest].map((part) => part.trim()).filter((part) => part !== '')
}

function parseStep(text: string): Step[] | undefined {
  const write = WRITE.exec(text)
  if (write?.[1]) {
    const content = write[2] === undefined ? 'Written by the scripted model.' : unquote(write[2])
    return [{ tool: 'Write', path: unquote(write[1]), content: content.endsWith('\n') ? content : `${content}\n` }]
  }
  const edit = EDIT.exec(text)
  if (edit?.[1] && edit[2] && edit[3]) {
    const path = unquote(edit[1])
    // The CLI refuses to edit a file that the conversation has not read.
    return [
      { tool: 'Read', path },
      { tool: 'Edit', path, from: unquote(edit[2]), to: unquote(edit[3]) },
    ]
  }
  const read = READ.exec(text)
  if (read?.[1]) return [{ tool: 'Read', path: unquote(read[1]) }]
  const run = RUN.exec(text)
  if (run?.[1]) return [{ tool: 'Bash', command: run[1].trim() }]
  return undefined
}

/**
 * The tool calls an instruction asks for, in order; undefined when any part of it is not understood, because doing half
 * of an instruction is worse than saying so. Written files end with a line break.
 */
export function parseInstruction(text: string): Step[] | undefined {
  const parts = splitSteps(text.trim().replace(/^please\s+/i, ''))
  if (parts.length === 0) return undefined
  const steps: Step[] = []
  for (const part of parts) {
    const parsed = parseStep(part)
    if (!parsed) return undefined
    steps.push(...parsed)
  }
  return steps
}
