/**
 * A stand-in of the existing Covibes server: as much of it as the frontend and the control plane ask for, over HTTP. It has no
 * sockets; those are the control plane's.
 */
import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { ClientAborted } from '../common/http-body.ts'
import { closeServer, listen } from '../common/listen.ts'
import { accountRoutes } from './account-routes.ts'
import { Accounts } from './accounts.ts'
import { agentRoutes } from './agent-routes.ts'
import { AgentProcesses, type ModelAccess } from './agents.ts'
import { type Answer, type Handler, type Member, Refusal, send } from './http.ts'
import { verifyToken } from './tokens.ts'

export interface ExistingServerOptions {
  /** Accounts, workspaces and homes are kept in it. */
  readonly directory: string
  readonly jwtSecret: string
  readonly model: ModelAccess
  /** 0, the default, takes a free one. */
  readonly port?: number
  readonly onLog?: (line: string) => void
}

export interface ExistingServer {
  readonly url: string
  /** Ends the agents, too. */
  close(): Promise<void>
}

export async function startExistingServer(options: ExistingServerOptions): Promise<ExistingServer> {
  const { directory, jwtSecret, model, port = 0, onLog = () => undefined } = options
  const accounts = new Accounts(join(directory, 'accounts.json'))
  const agents = new AgentProcesses(directory, model)
  const routes: Record<string, Handler> = { ...accountRoutes(accounts, jwtSecret), ...agentRoutes(agents, accounts) }

  async function answer(request: IncomingMessage): Promise<Answer> {
    const found = route(routes, request)
    if (!found) return { status: 404, body: { error: 'Not found' } }
    try {
      return await found.handler({ request, id: found.id, member: () => memberOf(request, jwtSecret) })
    } catch (error) {
      if (error instanceof Refusal) return error.answer
      if (error instanceof ClientAborted) throw error
      onLog(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : String(error)}`)
      return { status: 500, body: { error: 'Internal server error' } }
    }
  }

  const server = createServer((request, response) => {
    answer(request).then(
      (given) => send(response, given),
      () => response.destroy(), // the client has gone
    )
  })
  const url = await listen(server, port)
  return {
    url,
    async close() {
      await Promise.all([agents.close(), closeServer(server, 500)])
    },
  }
}

function route(routes: Record<string, Handler>, request: IncomingMessage) {
  const [pathname = '/'] = (request.url ?? '/').split('?', 1)
  const [, id = '', rest = ''] = /^\/api\/agents\/([\w-]+)(\/.*)?$/.exec(pathname) ?? []
  const exact = `${request.method} ${pathname}`
  if (Object.hasOwn(routes, exact)) return { handler: routes[exact] as Handler, id: '' }
  const withId = `${request.method} /api/agents/:id${rest}`
  return id !== '' && Object.hasOwn(routes, withId) ? { handler: routes[withId] as Handler, id } : undefined
}

async function memberOf(request: IncomingMessage, secret: string): Promise<Member> {
  const token = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) throw new Refusal(401, 'Access token required')
  const member = await verifyToken(token, secret)
  if (!member) throw new Refusal(403, 'Invalid or expired token')
  return member
}
