/** The whole product in front of the stand-in of the existing server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ExistingServer, startExistingServer } from '../../local/existing-server/server.ts'
import type { RuntimeOptions } from '../../local/runtime.ts'
import { assemblyDirectory, MODEL_PORT, synthesize } from './global-setup.ts'
import { JWT_SECRET, MODEL_KEY, type Product, startProduct } from './product.ts'

export interface WithExistingServer {
  readonly product: Product
  readonly existing: ExistingServer
  close(): Promise<void>
}

export async function startWithExistingServer(options: Partial<RuntimeOptions> = {}): Promise<WithExistingServer> {
  const directory = mkdtempSync(join(tmpdir(), 'covibes-existing-'))
  const existing = await startExistingServer({
    directory,
    jwtSecret: JWT_SECRET,
    model: { baseUrl: `http://127.0.0.1:${MODEL_PORT}`, apiKey: MODEL_KEY },
  })
  // Its address is part of the app: a template of its own.
  const outdir = `${assemblyDirectory}.existing-server`
  synthesize(outdir, existing.url)
  const product = await startProduct({ assemblyDirectory: outdir, ...options })
  return {
    product,
    existing,
    async close() {
      await product.close()
      await existing.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
