/**
 * The alternative that was measured and not taken: an endpoint that relays the polling sessions of ssh teams. It opens every
 * session itself, because the team is known only from CONNECT's token; on CONNECT of such a team it opens a session at the
 * existing server, keeps that sid beside its own, and from then on passes each GET and POST on. The upgrade is never offered.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a session item would hold in addition: which session of the existing server it stands for. */
interface Relayed {
  existingSid?: string
  /** The answer to CONNECT is the existing server's, so GETs that came before wait for it. */
  readonly connected: PromiseWithResolvers<void>
}

/** A function's invocation, as it is paid. */
export interface Invocation {
  readonly method: string
  readonly ms: number
}

/** @param onSsh By team of a token `<user>@<team>`, as the flag is now. */
export async function startRelay(existingServerUrl: string, onSsh: (teamId: string) => boolean) {
  const sessions = new Map<string, Relayed>()
  const invocations: Invocation[] = []

  const existing = (sid: string | undefined, init: RequestInit = {}) =>
    fetch(`${existingServerUrl}/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`, init)

  async function handshake(): Promise<[number, string]> {
    const sid = randomBytes(15).toString('base64url')
    sessions.set(sid, { connected: Promise.withResolvers() })
    // The heartbeat is the existing server's, since its pings are what the client will get.
    const open = { sid, upgrades: [], pingInterval: 25_000, pingTimeout: 60_000, maxPayload: 1_000_000 }
    return [200, `0${JSON.stringify(open)}`]
  }

  async function connect(session: Relayed, body: string): Promise<[number, string]> {
    const { token } = JSON.parse(body.slice(2)) as { token: string }
    if (!onSsh(token.split('@')[1] ?? '')) return [400, 'not an ssh team: our own session would take it from here']
    const opened = (await (await existing(undefined)).text()).slice(1)
    session.existingSid = (JSON.parse(opened) as { sid: string }).sid
    const answer = await existing(session.existingSid, { method: 'POST', body })
    session.connected.resolve()
    return [answer.status, await answer.text()]
  }

  async function answer(request: IncomingMessage): Promise<[number, string]> {
    const sid = new URL(request.url ?? '/', 'http://relay').searchParams.get('sid')
    if (sid === null) return handshake()
    const session = sessions.get(sid)
    if (!session) return [400, '{"code":1,"message":"Session ID unknown"}']
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString()
    if (body.startsWith('40') && session.existingSid === undefined) return connect(session, body)
    await session.connected.promise
    const method = request.method ?? 'GET'
    // Never cut short: the existing server ends the whole session when a held GET goes away.
    const answered = await existing(session.existingSid, method === 'GET' ? {} : { method, body })
    return [answered.status, await answered.text()]
  }

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const startedAt = performance.now()
    answer(request)
      .catch((error: unknown): [number, string] => [503, error instanceof Error ? error.message : String(error)])
      .then(([status, text]) => {
        invocations.push({ method: request.method ?? '', ms: performance.now() - startedAt })
        response.writeHead(status, { 'content-type': 'text/plain; charset=UTF-8' }).end(text)
      })
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    invocations,
    /** Sessions at the existing server. */
    legs: (): number => sessions.size,
    /** What a flip has to do: the sessions end, so that the clients begin anew on the other side. */
    endSessions(): void {
      sessions.clear()
    },
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
