/** What previews need of the world. */

export interface PreviewVisits {
  /** When each label's preview was visited last, or started since (ms since the epoch); those that nobody knows are left out. */
  lastVisits(labels: readonly string[]): Promise<ReadonlyMap<string, number>>
}
