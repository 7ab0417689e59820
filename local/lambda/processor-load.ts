import { cpus } from 'node:os'

/** Milliseconds over which the processors are looked at, and for which the answer stands. */
const SAMPLE_MS = 100
/** Below this share of idle time nothing would run sooner by being started beside the rest. */
const IDLE_SHARE = 0.1

/** Answers whether this machine's processors have had next to nothing left in the last tenth of a second. */
export function processorLoad(): () => boolean {
  let last = read()
  let sampledAt = performance.now()
  let isBusy = false
  return () => {
    if (performance.now() - sampledAt < SAMPLE_MS) return isBusy
    const now = read()
    isBusy = now.total > last.total && now.idle - last.idle < (now.total - last.total) * IDLE_SHARE
    last = now
    sampledAt = performance.now()
    return isBusy
  }
}

/** Milliseconds since the machine's start, of all processors together. */
function read(): { idle: number; total: number } {
  const times = cpus().map((cpu) => cpu.times)
  return {
    idle: times.reduce((sum, { idle }) => sum + idle, 0),
    total: times.reduce((sum, { idle, user, nice, sys, irq }) => sum + idle + user + nice + sys + irq, 0),
  }
}
