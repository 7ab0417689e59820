/**
 * `npm run bench`: what the product costs beside a floor or a peer in the same run. Prints figures and ratios, asserts nothing:
 * numbers are of this machine and of what else it does. `--quick`: no status events, and no terminal of 50 viewers. `--only`: one
 * part. `--connections 1000`: status events at that many connections only.
 */
import os from 'node:os'
import { parseArgs } from 'node:util'
import { Tickets } from '../load/fake-container.ts'
import { SyncTasks } from '../load/sync-tasks.ts'
import setup from '../support/global-setup.ts'
import { startProduct } from '../support/product.ts'
import { CostMeter } from './cost.ts'
import { benchPreviewPhases } from './preview.ts'
import { benchPreviewGateway } from './preview-gateway.ts'
import { benchSpawn } from './spawn.ts'
import { benchStatus, TaskEvents } from './status.ts'
import { benchTerminal } from './terminal.ts'
import { benchTyping, type Jitter } from './typing.ts'

const { quick, only, connections } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    connections: { type: 'string' },
  },
}).values
const PARTS = ['spawn', 'typing', 'terminal', 'status', 'preview']
if (only !== undefined && !PARTS.includes(only)) throw new Error(`--only takes one of ${PARTS.join(', ')}`)
const isWanted = (part: string): boolean => (only === undefined ? !(quick && part === 'status') : part === only)

setup()
const meter = new CostMeter()
const taskEvents = new TaskEvents()
const tickets = new Tickets()
const syncTasks = new SyncTasks()
const jitter: Jitter = { ms: () => 0 }
const product = await startProduct({
  // What is counted is what the events cost: no schedule runs beside them.
  scheduleRate: 0,
  onTraffic(where, content) {
    meter.observe(where)
    taskEvents.observe(where, content)
    tickets.observe(where, content)
    syncTasks.observe(where, content)
  },
  webSocket: { jitterMs: () => jitter.ms() },
})
syncTasks.attach(product.runtime)
try {
  const load = os.loadavg()[0]?.toFixed(1)
  console.log(`${os.cpus().length} × ${os.cpus()[0]?.model.trim()}, load ${load}, Node ${process.version}`)
  if (isWanted('spawn')) await benchSpawn(product)
  if (isWanted('typing')) await benchTyping(product, { tickets, jitter })
  if (isWanted('terminal')) await benchTerminal(product, meter, quick ? [1, 10] : [1, 10, 50])
  if (isWanted('preview')) {
    await benchPreviewGateway()
    await benchPreviewPhases(product)
  }
  if (isWanted('status'))
    await benchStatus(product, { meter, taskEvents }, connections === undefined ? undefined : Number(connections))
} catch (error) {
  // Said before the product closes: with a thousand connections that takes its time.
  console.error(error)
  process.exitCode = 1
} finally {
  await product.close()
}
process.exit()
