import { StringDecoder } from 'node:string_decoder'

/** Cuts a stream of bytes into lines. */
export interface LineSplitter {
  push(chunk: Buffer): void
  /** Gives out the last line if it has no end. */
  end(): void
}

/** A longer line is given out in pieces of this many characters, so that a program without line ends cannot fill memory. */
export const MAX_LINE_LENGTH = 64 * 1_024

/** Calls `onLine` with each line of UTF-8 text, without its `\n` or `\r\n`. */
export function splitLines(onLine: (line: string) => void): LineSplitter {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  function give(line: string): void {
    const whole = line.endsWith('\r') ? line.slice(0, -1) : line
    // An empty line is a line too.
    for (let from = 0; from === 0 || from < whole.length; from += MAX_LINE_LENGTH)
      onLine(whole.slice(from, from + MAX_LINE_LENGTH))
  }
  return {
    push(chunk) {
      const parts = (rest + decoder.write(chunk)).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) give(part)
      while (rest.length > MAX_LINE_LENGTH) {
        onLine(rest.slice(0, MAX_LINE_LENGTH))
        rest = rest.slice(MAX_LINE_LENGTH)
      }
    },
    end() {
      rest += decoder.end()
      if (rest !== '') give(rest)
      rest = ''
    },
  }
}
