/** Work under way that a part waits for when it closes. */
export class Drain {
  readonly #underWay = new Set<Promise<unknown>>()

  /** Counts the work in until it has settled. */
  add(work: Promise<unknown>): void {
    const tracked: Promise<unknown> = work.then(
      () => this.#underWay.delete(tracked),
      () => this.#underWay.delete(tracked),
    )
    this.#underWay.add(tracked)
  }

  /** Resolves when nothing is under way any more, also nothing added meanwhile, or after `graceMs`. */
  async wait(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), graceMs)
    })
    while (this.#underWay.size > 0) if ((await Promise.race([Promise.all(this.#underWay), late])) === 'late') break
    clearTimeout(timer)
  }
}
