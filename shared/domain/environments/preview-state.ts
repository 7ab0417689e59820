/** What only a preview has of a record's state: its address, its report, its idleness, and what its team is told of it. */
import type { PreviewReport } from '../../contracts/preview-link.ts'
import type { ServerEvent, ServerEventPayload } from '../../contracts/socket-events.ts'
import type { Environment, PreviewEnvironment } from './schema.ts'
import type { ObservedTask } from './task-end.ts'

type Preview = PreviewEnvironment['preview']
/** A change of the record's part; nothing for records that are no previews. */
type PreviewPatch = { readonly preview?: Preview }

export const isIdle = (record: Environment): boolean => record.type === 'preview' && record.preview.isIdle === true

/** The task's address, when it is not known yet. */
export function addressOf(record: Environment, { address }: ObservedTask): PreviewPatch {
  if (record.type !== 'preview' || address === undefined || record.preview.address === address) return {}
  return { preview: { ...record.preview, address } }
}

/** Marks it as stopped for idleness, or takes the mark off. */
export function withIdle(record: Environment, { preview }: PreviewPatch, idle: boolean): PreviewPatch {
  if (record.type !== 'preview') return {}
  const { isIdle: _, ...rest } = preview ?? record.preview
  return { preview: idle ? { ...rest, isIdle: true } : rest }
}

export function withVisibility(record: Environment, isPublic: boolean): PreviewPatch | undefined {
  if (record.type !== 'preview' || record.preview.isPublic === isPublic) return undefined
  return { preview: { ...record.preview, isPublic } }
}

/** Undefined when the report says nothing new, or is older than the last one: reports are handled side by side. `at`: of the gateway. */
export function withReport(record: Environment, report: PreviewReport, at: Date): PreviewPatch | undefined {
  if (record.type !== 'preview') return undefined
  const { at: since, ...last } = record.preview.report ?? {}
  if (since !== undefined && since > at.toISOString()) return undefined
  if (JSON.stringify(sorted(last)) === JSON.stringify(sorted(report))) return undefined
  return { preview: { ...record.preview, report: { ...report, at: at.toISOString() } } }
}

const sorted = (value: object) => Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))

/** At the end of a generation that none follows: port and address are given up, the report stays for the page of a failure. */
export function atEnd(record: Environment): PreviewPatch {
  if (record.type !== 'preview') return {}
  const { port: _port, address: _address, ...rest } = record.preview
  return { preview: rest }
}

/** For the next generation: the port when it still has one, nothing of the task before. */
export function anew(record: Environment): PreviewPatch {
  if (record.type !== 'preview') return {}
  const { address: _address, report: _report, isIdle: _isIdle, ...rest } = record.preview
  return { preview: rest }
}

type Told = ServerEventPayload<'preview-status-update'>['status']

/** What members see of it: a task that runs is not yet a server that answers. */
export function previewStatus({ status, restart, preview }: PreviewEnvironment): Told {
  switch (status) {
    case 'requested':
    case 'starting':
      return 'starting'
    case 'running':
      if (preview.report?.phase === 'ready') return 'running'
      return preview.report?.phase === 'failed' ? 'error' : 'starting'
    case 'stopping':
      if (restart) return 'starting'
      return preview.isIdle ? 'idle' : 'stopped'
    case 'completed':
    case 'killed':
      return preview.isIdle ? 'idle' : 'stopped'
    case 'failed':
      return 'error'
  }
}

/** Why it is as it is, in words: the record's reason, else what the container says while its server does not answer. */
export function previewReason({ reason, preview }: PreviewEnvironment): string | undefined {
  return reason ?? (preview.report?.phase === 'ready' ? undefined : preview.report?.reason)
}

/**
 * What the team is told of a change. Only of the preview of `workspace`: the existing frontend shows no other and does not look at the
 * branch, so that the end of another one would look like the end of this.
 */
export function toldOf(before: Environment, after: PreviewEnvironment): ServerEvent | undefined {
  if (before.type !== 'preview' || before.deletedAt || after.preview.branch !== 'workspace') return undefined
  const status = after.deletedAt ? 'stopped' : previewStatus(after)
  if (status === previewStatus(before)) return undefined
  const message = previewReason(after)
  return ['preview-status-update', { branch: after.preview.branch, status, ...(message ? { message } : {}) }]
}
