/** What members get who ask for a preview. */
import type * as z from 'zod'
import { PREVIEW_MODE, type PreviewAnswerSchema, type PreviewLogsAnswerSchema } from '../../contracts/preview-api.ts'
import type { PreviewBranch } from '../../contracts/preview-link.ts'
import { NotFound } from '../errors.ts'
import { readOutputLines } from '../terminal/lines.ts'
import type { TerminalLogReader } from '../terminal/ports.ts'
import { type AddressDeps, memberUrl, requirePreviewDomain, visitorOf } from './addresses.ts'
import { createPreview, restartPreview, type StartPreviewDeps, type StartRequest } from './operations.ts'
import { findPreview, type PreviewReadDeps, previewMessage, viewStatus } from './view.ts'

type PreviewAnswer = z.infer<typeof PreviewAnswerSchema>
type StartDeps = StartPreviewDeps & AddressDeps

/** Starts it, and says where to go. @throws as `createPreview`, and Unavailable on a stage without a preview domain. */
export const createdPreview = (request: StartRequest, deps: StartDeps): Promise<PreviewAnswer> =>
  started(createPreview, request, deps)

/** @throws as `createdPreview`. */
export const restartedPreview = (request: StartRequest, deps: StartDeps): Promise<PreviewAnswer> =>
  started(restartPreview, request, deps)

async function started(start: typeof createPreview, request: StartRequest, deps: StartDeps): Promise<PreviewAnswer> {
  // Before anything runs that nobody could see.
  requirePreviewDomain(deps)
  const record = await start(request, deps)
  return {
    message: previewMessage(record),
    mode: PREVIEW_MODE,
    status: viewStatus(record),
    port: record.preview.port ?? null,
    url: await memberUrl(record, visitorOf(request.member, request.member.token), deps),
  }
}

/** What its container has written, over all starts. @throws NotFound when there is no preview of the branch. */
export async function previewLogs(
  { teamId, branch }: { readonly teamId: string; readonly branch: PreviewBranch },
  query: { limit: number; cursor?: string | undefined },
  log: TerminalLogReader,
  deps: PreviewReadDeps,
): Promise<z.infer<typeof PreviewLogsAnswerSchema>> {
  const record = await findPreview(teamId, branch, deps)
  if (!record) throw new NotFound(`Your team has no preview of ${branch}`)
  const { output, ...rest } = await readOutputLines(log, record, query)
  return { branch, logs: output, ...rest }
}
