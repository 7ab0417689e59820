import { functionEnv } from '../../../shared/contracts/functions.ts'
import { viewDeps } from '../../../shared/runtime/environment-deps.ts'
import { memberDeps } from '../../../shared/runtime/member-deps.ts'
import { addressDeps } from '../../../shared/runtime/preview-deps.ts'
import { previewRedirect } from '../../../shared/runtime/preview-redirect.ts'

const env = functionEnv('open-preview', process.env)

export const handler = previewRedirect(memberDeps(env), { ...viewDeps(env), ...addressDeps(env) })
