import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { answer, httpHandler } from '../../../shared/runtime/http-handler.ts'
import { openApiDocument } from '../../../shared/runtime/openapi.ts'

functionEnv('get-openapi', process.env)
const document = openApiDocument(routes)

/** The document changes with a deployment only, so clients may keep it for a few minutes. */
export const handler = httpHandler(routes.getOpenApi, async () =>
  answer(200, document, { 'cache-control': 'public, max-age=300' }),
)
