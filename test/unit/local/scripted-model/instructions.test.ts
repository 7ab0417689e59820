import { describe, expect, it } from 'vitest'
import { parseInstruction } from '../../../../local/scripted-model/instructions.ts'

describe('instructions of the scripted model', () => {
  it.each([
    ['write a.txt', [{ tool: 'Write', path: 'a.txt', content: 'Written by the scripted model.\n' }]],
    ['Write a.txt containing hi', [{ tool: 'Write', path: 'a.txt', content: 'hi\n' }]],
    ['please create src/x.ts with "a\\nb"', [{ tool: 'Write', path: 'src/x.ts', content: 'a\nb\n' }]],
    ['write "my file.txt" containing the text é 🙂', [{ tool: 'Write', path: 'my file.txt', content: 'é 🙂\n' }]],
    ['read a.txt', [{ tool: 'Read', path: 'a.txt' }]],
    ['run ls -la | wc -l', [{ tool: 'Bash', command: 'ls -la | wc -l' }]],
    [
      'edit a.txt replace one two with three',
      [
        { tool: 'Read', path: 'a.txt' },
        { tool: 'Edit', path: 'a.txt', from: 'one two', to: 'three' },
      ],
    ],
    [
      'write a containing "x then y", then run cat a',
      [
        { tool: 'Write', path: 'a', content: 'x then y\n' },
        { tool: 'Bash', command: 'cat a' },
      ],
    ],
  ])('%s', (text, steps) => {
    expect(parseInstruction(text)).toEqual(steps)
  })

  it.each(['', 'hello', 'write', 'write a.txt then dance', 'edit a.txt'])('does not understand %j', (text) => {
    expect(parseInstruction(text)).toBeUndefined()
  })
})
