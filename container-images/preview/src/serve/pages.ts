/** Pages of the preview's own program. */
import type { Project } from '../project/types.ts'

/** Where open pages hear of changes; an unlikely name for a file of a site. */
export const CHANGES_PATH = '/.covibes-preview-changes'

/** Reloads the page when a file has changed. It never reloads because a connection was lost: that would wake a preview for ever. */
export const RELOAD_SCRIPT = `<script>new EventSource(${JSON.stringify(CHANGES_PATH)}).addEventListener('change',()=>setTimeout(()=>location.reload(),100))</script>`

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:12vh auto;padding:0 1rem;color:#24292f;background:#fff}
@media(prefers-color-scheme:dark){body{color:#d6dbe1;background:#16191d}}code{font-size:.95em}</style></head>
<body><h1>${escapeHtml(title)}</h1>${body}
${RELOAD_SCRIPT}</body></html>
`
}

/** Instead of a project: what was looked for. */
export function nothingPage({ type, directory, lookedFor = [] }: Project): string {
  const where = directory === '' ? '' : ` in <code>${escapeHtml(directory)}</code>`
  return page(
    type === 'empty' ? 'Nothing to preview yet' : 'Nothing to run was found',
    `<p>Looked for${where}, in this order:</p><ol>${lookedFor.map((what) => `<li>${escapeHtml(what)}</li>`).join('')}</ol>
<p>This page shows the project as soon as one of these is there. If it runs in another way, say so in a file
<code>covibes.json</code>: <code>{"command": "…", "install": "…"}</code>; the command gets the variables <code>HOST</code> and
<code>PORT</code>.</p>`,
  )
}

export const notFoundPage = (path: string): string =>
  page('Not found', `<p>There is no <code>${escapeHtml(path.slice(0, 500))}</code> in this site.</p>`)
