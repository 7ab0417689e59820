/**
 * What is not copied, whatever it is and wherever it stands: what belongs to tools and is made anew in the task, from `npm ci` to a dev
 * server's cache. In the task's copy these names are left alone, too.
 */
const NOT_MIRRORED = new Set([
  '.git',
  '.hg',
  '.svn',
  'node_modules',
  '.pnpm-store',
  '.venv',
  'venv',
  '__pycache__',
  '.pytest_cache',
  '.mypy_cache',
  '.ruff_cache',
  '.tox',
  '.next',
  '.nuxt',
  '.svelte-kit',
  '.astro',
  '.angular',
  '.vite',
  '.turbo',
  '.cache',
  '.parcel-cache',
])

export const isMirrored = (name: string): boolean => !NOT_MIRRORED.has(name)

/** Whether a symbolic link at `path` stays in the tree, by its text; links on its way are not looked at. */
export function staysInside(path: string, target: string): boolean {
  if (target === '' || target.startsWith('/')) return false
  let depth = path.split('/').length - 1
  for (const part of target.split('/')) {
    if (part === '..') depth--
    else if (part !== '' && part !== '.') depth++
    if (depth < 0) return false
  }
  return true
}
