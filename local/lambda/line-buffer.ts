/** CloudWatch Logs takes events of at most 1 MB; a longer line is cut into several. */
const MAX_LINE = 1024 * 1024

/** Cuts text that comes in pieces into lines. Holds at most one unfinished line of 1 M characters. */
export class LineBuffer {
  readonly #onLine: (line: string) => void
  #rest = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#emit(line)
    if (this.#rest.length > MAX_LINE) this.flush()
  }

  /** Emits an unfinished line as it is. */
  flush(): void {
    const rest = this.#rest
    this.#rest = ''
    if (rest !== '') this.#emit(rest)
  }

  #emit(line: string): void {
    for (let start = 0; start === 0 || start < line.length; start += MAX_LINE)
      this.#onLine(line.slice(start, start + MAX_LINE))
  }
}
