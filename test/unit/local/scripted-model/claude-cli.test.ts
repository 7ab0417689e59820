import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  claudeEnvironment,
  claudeExecutable,
  prepareClaudeHome,
} from '../../../../container-images/agent/src/claude-cli.ts'
import { createScriptedModel, type ScriptedModel } from '../../../../local/scripted-model/server.ts'

/** The CLI in a terminal is tested with the agent (test/unit/agent-image/claude.test.ts); this is its print mode. */
let root: string
let workspace: string
let model: ScriptedModel
beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), 'covibes-claude-')))
  workspace = path.join(root, 'workspace')
  await mkdir(workspace)
  model = await createScriptedModel()
})
afterEach(async () => {
  await model.close()
  await rm(root, { recursive: true, force: true })
})

async function claude(prompt: string): Promise<{ code: number; answer: string }> {
  const access = { apiKey: 'sk-any-0123456789', baseUrl: model.url }
  const home = path.join(root, 'home')
  await prepareClaudeHome(home, workspace, access)
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', HOME: home, ...claudeEnvironment(access) }
    const args = ['--print', '--dangerously-skip-permissions', prompt]
    const child = execFile(claudeExecutable(), args, { cwd: workspace, env }, (error, stdout) =>
      resolve({ code: error ? Number(error.code) : 0, answer: stdout.trim() }),
    )
    child.stdin?.end()
  })
}

it('makes the real CLI write, edit, run and read', async () => {
  expect(
    await claude(
      'write src/a.txt containing "one then two" then edit src/a.txt replace one with 1 then run wc -l src/a.txt',
    ),
  ).toEqual({ code: 0, answer: 'Wrote src/a.txt.\nEdited src/a.txt.\nRan wc -l src/a.txt:\n1 src/a.txt' })
  expect(await readFile(path.join(workspace, 'src/a.txt'), 'utf8')).toBe('1 then two\n')
  expect((await claude('read src/a.txt')).answer).toMatch(/^Read src\/a\.txt:\n1\s1 then two/)
}, 60_000)

it('tells failures of the CLI’s tools in their own words', async () => {
  await writeFile(path.join(workspace, 'a.txt'), 'x\n')
  const edit = await claude('edit a.txt replace nothing with something then run echo never')
  expect(edit.answer).toMatch(/^This failed: edit a\.txt\.\nString to replace not found[\s\S]*not done: 1 more\.$/)
  expect((await claude('run exit 7')).answer).toMatch(/^This failed: run: exit 7\nExit code 7/)
  expect((await claude('what can you do?')).answer).toContain('scripted model')
}, 60_000)
