import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WorkspaceError, type WorkspaceWait, waitForWorkspace } from '../../../container-images/agent/src/workspace.ts'
import { makeDirectory, removeDirectories } from './agent-fixture.ts'

let root: string
let directory: string
let shown: string
beforeEach(async () => {
  root = await makeDirectory()
  directory = path.join(root, 'workspace')
  shown = ''
})
afterEach(removeDirectories)

const wait = (more: Partial<WorkspaceWait> = {}) =>
  waitForWorkspace(directory, {
    patienceMs: 20_000,
    lookEveryMs: 5,
    abort: new AbortController().signal,
    show: (text) => {
      shown += text
    },
    ...more,
  })

describe('the wait for the workspace', () => {
  it('is none when it is there, and says nothing', async () => {
    await mkdir(directory)
    await wait({ patienceMs: 0 })
    expect(shown).toBe('')
  })

  it('ends when it appears by a rename, and says once that it waits', async () => {
    await mkdir(path.join(root, 'preparing'))
    let looks = 0
    const ready = wait({
      show: (text) => {
        shown += text
        looks++
      },
    })
    await expect.poll(() => looks).toBe(1)
    await rename(path.join(root, 'preparing'), directory)
    await ready
    expect(shown).toBe("Waiting for the team's workspace…\n")
  })

  it('has a bound', async () => {
    await expect(wait({ patienceMs: 30 })).rejects.toThrow(
      new WorkspaceError("The team's workspace was not ready within 0 s: workspace sync says why"),
    )
  })

  it('can be interrupted', async () => {
    const abort = new AbortController()
    const show = () => abort.abort()
    await expect(wait({ abort: abort.signal, show })).rejects.toThrow('interrupted')
  })

  it('ends at once when something else is in its place', async () => {
    await writeFile(directory, '')
    await expect(wait()).rejects.toThrow('is not a directory')
    directory = path.join(directory, 'below')
    await expect(wait()).rejects.toThrow(/cannot be used: ENOTDIR/)
  })
})
