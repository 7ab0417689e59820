/**
 * `npm run bench`: what the product costs beside a floor or a peer in the same run. Prints figures and ratios, asserts nothing:
 * numbers are of this machine and of what else it does.
 */
import os from 'node:os'
import setup from '../support/global-setup.ts'
import { startProduct } from '../support/product.ts'
import { benchSpawn } from './spawn.ts'
import { benchTerminal } from './terminal.ts'

setup()
const product = await startProduct()
try {
  console.log(
    `${os.cpus().length} × ${os.cpus()[0]?.model.trim()}, load ${os.loadavg()[0]?.toFixed(1)}, Node ${process.version}`,
  )
  await benchSpawn(product)
  await benchTerminal(product, [1, 10])
} finally {
  await product.close()
}
process.exit()
