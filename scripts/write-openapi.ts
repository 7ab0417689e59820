/** Writes docs/openapi.json from the route table; with `--check` only says (exit code 1) that it is stale. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { routes } from '../shared/contracts/routes.ts'
import { openApiDocument } from '../shared/runtime/openapi.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const path = 'docs/openapi.json'
const text = `${JSON.stringify(openApiDocument(routes), null, 2)}\n`

function committed(): unknown {
  try {
    return JSON.parse(readFileSync(`${root}${path}`, 'utf8'))
  } catch (error) {
    console.error(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

if (process.argv.includes('--check')) {
  if (!isDeepStrictEqual(committed(), JSON.parse(text))) {
    console.error(`${path} is stale: run "npm run openapi"`)
    process.exitCode = 1
  }
} else {
  const formatter = [`${root}node_modules/@biomejs/biome/bin/biome`, 'format', `--stdin-file-path=${path}`]
  writeFileSync(`${root}${path}`, execFileSync(process.execPath, formatter, { cwd: root, input: text }))
  console.log(`${path} written`)
}
