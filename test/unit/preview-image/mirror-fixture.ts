import { mkdir, readdir, readFile, readlink } from 'node:fs/promises'
import path from 'node:path'
import { Mirror, type MirrorOptions } from '../../../container-images/preview/src/mirror/mirror.ts'
import { makeDirectory, type Tree, writeTree } from './preview-fixture.ts'

/** A mirror of a working tree. */
export async function makeMirror(tree: Tree, limits: MirrorOptions['limits'] = {}) {
  const root = await makeDirectory()
  const source = path.join(root, 'source')
  const target = path.join(root, 'target')
  await mkdir(source)
  await writeTree(source, tree)
  const options = { source, target, staging: path.join(root, 'staging'), limits }
  const mirror = new Mirror(options)
  return { mirror, source, target, options, read: (name: string) => readFile(path.join(target, name), 'utf8') }
}

/** Everything in a directory: content of files, `-> target` of links. */
export async function treeOf(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const place = path.join(entry.parentPath, entry.name)
    const name = path.relative(root, place)
    if (entry.isSymbolicLink()) found[name] = `-> ${await readlink(place)}`
    else if (entry.isFile()) found[name] = await readFile(place, 'utf8')
    else found[`${name}/`] = ''
  }
  return found
}
