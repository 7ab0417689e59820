import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const repository = join(import.meta.dirname, '..', '..')

/** Files that each break one rule, and the rule; those without one break none. */
const FILES: Readonly<Record<string, readonly [source: string, rule?: string]>> = {
  'shared/contracts/routes.ts': [`export const routes = {}`],
  'shared/domain/agents/spawn.ts': [`import '../../contracts/routes.ts'\nexport const spawn = 1`],
  'shared/adapters/websocket/connection-poster.ts': [
    `import '@aws-sdk/client-apigatewaymanagementapi'\nimport '../../domain/agents/spawn.ts'`,
  ],
  'shared/runtime/deps.ts': [`import '../adapters/websocket/connection-poster.ts'`],
  'functions/http/get.ts': [`import '../../shared/runtime/deps.ts'`],
  'local/runtime.ts': [`import '../shared/contracts/routes.ts'`],

  'shared/contracts/impure.ts': [`import '@aws-sdk/client-dynamodb'`, 'contracts-are-pure'],
  'shared/domain/agents/stores.ts': [`import '@aws-sdk/client-dynamodb'`, 'domain-knows-no-aws'],
  'shared/domain/agents/wired.ts': [`import '../../adapters/websocket/connection-poster.ts'`, 'domain-is-the-core'],
  'shared/adapters/dynamodb/up.ts': [`import '../../runtime/deps.ts'`, 'adapters-know-the-domain'],
  'shared/runtime/up.ts': [`import '../../functions/http/get.ts'`, 'runtime-knows-the-adapters'],
  'functions/http/local.ts': [`import '../../local/runtime.ts'`, 'functions-wire'],
  'functions/http/other.ts': [`import './get.ts'`, 'functions-stand-alone'],
  'infra/stack.ts': [
    `import type { spawn } from '../shared/domain/agents/spawn.ts'\nexport type S = typeof spawn`,
    'infra-sees-contracts',
  ],
  'container-images/agent/src/main.ts': [`import '../../../shared/domain/agents/spawn.ts'`, 'images-see-contracts'],
  'container-images/common/src/log.ts': [`export const log = 1`],
  'container-images/preview/src/main.ts': [`import '../../common/src/log.ts'`],
  'container-images/agent/src/shares.ts': [`import '../../preview/src/main.ts'`, 'images-stand-alone'],
  'container-images/common/src/knows.ts': [`import '../../preview/src/main.ts'`, 'images-stand-alone'],
  'local/cheats.ts': [`import '../shared/runtime/deps.ts'`, 'local-sees-contracts'],
  'ops/cheats.ts': [`import '../shared/runtime/deps.ts'`, 'ops-are-clients'],
  'shared/runtime/poster.ts': [`import '@aws-sdk/client-apigatewaymanagementapi'`, 'one-poster'],
  'shared/domain/agents/one.ts': [`import './two.ts'`, 'no-cycles'],
  // A cycle is told once, where it was found first.
  'shared/domain/agents/two.ts': [`import './one.ts'`],
  'shared/domain/agents/lost.ts': [`import './nowhere.ts'`, 'unresolvable'],
}

describe('import rules', () => {
  let found: readonly { from: string; rule: { name: string } }[]
  let root: string

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'import-rules-'))
    for (const [path, [source]] of Object.entries(FILES)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), `${source}\n`)
    }
    for (const name of ['node_modules', 'tsconfig.json', 'package.json'])
      symlinkSync(join(repository, name), join(root, name))
    const cruiser = join(repository, 'node_modules', '.bin', 'depcruise')
    const config = join(repository, '.dependency-cruiser.mjs')
    const folders = [...new Set(Object.keys(FILES).map((path) => path.split('/')[0] ?? ''))]
    const run = spawnSync(cruiser, ['--config', config, '--output-type', 'json', ...folders], {
      cwd: root,
      encoding: 'utf8',
    })
    found = JSON.parse(run.stdout).summary.violations
  })
  afterAll(() => rmSync(root, { recursive: true }))

  it.each(Object.entries(FILES))('%s', (path, [, rule]) => {
    const broken = new Set(found.filter(({ from }) => from === path).map(({ rule: { name } }) => name))
    expect([...broken]).toEqual(rule === undefined ? [] : [rule])
  })
})
