import { describe, expect, it } from 'vitest'
import { newPreviewLabel, newTicketId, verifyCookie } from '../../../shared/domain/previews/signatures.ts'
import { DOMAIN, SECRET, startFixture, startTask } from './fixture.ts'

const JWT = `${Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')}.eyJ1c2VySWQiOiJhZGEifQ.c2lnbmF0dXJl`

async function start() {
  const task = await startTask((request, response) => response.end(`page ${request.url}`))
  return { task, ...(await startFixture({ taskPort: task.port })) }
}

describe('the way in', () => {
  it('turns a ticket into a cookie of that host alone and goes on to a clean address', async () => {
    const { ask, entrance, host, task, label } = await start()
    const entered = await ask(`${entrance()}?token=${JWT}`)
    expect(entered.status).toBe(303)
    expect(entered.headers.location).toBe(`https://${host}/`)
    expect(entered.headers['referrer-policy']).toBe('no-referrer')
    expect(entered.headers['cache-control']).toBe('no-store')
    const [cookie = '', ...attributes] = (entered.headers['set-cookie']?.[0] ?? '').split('; ')
    expect(attributes).toEqual(['Path=/', 'Max-Age=86400', 'Secure', 'HttpOnly', 'SameSite=None', 'Partitioned'])
    const [name, value = ''] = cookie.split('=')
    expect(name).toBe('__Host-covibes-preview')
    expect(verifyCookie(value, SECRET, Date.now())).toMatchObject({ ok: true, value: { label, userId: 'ada' } })

    const page = await ask('/', { headers: { cookie } })
    expect(page.body).toBe('page /')
    expect(task.seen.map(({ url }) => url)).toEqual(['/'])
  })

  it('keeps the rest of the path and query', async () => {
    const { ask, ticket, host } = await start()
    const answer = await ask(`/__covibes/enter/${ticket()}/a/b%20c?x=1&token=${JWT}&y=%2F`)
    expect(answer.headers.location).toBe(`https://${host}/a/b%20c?x=1&y=%2F`)
  })

  it.each(['//evil.example/', '/\\evil.example', '///evil.example', '/__covibes/enter/x/', '/%5f_covibes/'])(
    'never leads to another host or back to itself: %s',
    async (rest) => {
      const { ask, ticket, host } = await start()
      const answer = await ask(`/__covibes/enter/${ticket()}${rest}`)
      expect(answer.status).toBe(303)
      expect(new URL(answer.headers.location ?? '').host).toBe(host)
      expect(answer.headers.location).not.toMatch(/covibes/)
    },
  )

  it('lets a ticket in once; a second time only who has the cookie', async () => {
    const { ask, entrance, host } = await start()
    const path = entrance()
    const first = await ask(path)
    const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    const stranger = await ask(path)
    expect(stranger.status).toBe(403)
    expect(stranger.headers['set-cookie']).toBeUndefined()
    expect(stranger.body).toContain('used already')
    const again = await ask(`${path}?token=${JWT}&refresh=1`, { headers: { cookie } })
    expect(again.status).toBe(303)
    expect(again.headers.location).toBe(`https://${host}/?refresh=1`)
    expect(again.headers['set-cookie']).toBeUndefined()
  })

  it('lets one of many in who come with the same ticket at once', async () => {
    const { ask, entrance } = await start()
    const path = entrance()
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(path)))
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(19)
  })

  it('refuses what is expired, forged, of another preview, another team or another secret, and uses none of it up', async () => {
    const { ask, entrance, ticket, directory } = await start()
    const other = newPreviewLabel('main')
    const good = ticket()
    const refused = {
      expired: ticket({ exp: Date.now() - 1 }),
      'other label': ticket({ label: other }),
      'other team': ticket({ teamId: 'team-2' }),
      'other secret': ticket({}, 'another secret of previews, just as long as it is'),
      'changed body': `${Buffer.from('{}').toString('base64url')}.${good.split('.')[1]}`,
      cut: good.slice(0, -1),
      long: 'a'.repeat(2_000),
      nothing: 'x',
    }
    for (const [what, text] of Object.entries(refused)) {
      const answer = await ask(entrance(text), { headers: { accept: 'text/html' } })
      expect([what, answer.status]).toEqual([what, what === 'long' ? 404 : 403])
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    expect(directory.redeemed.size).toBe(0)
    expect((await ask(entrance(good))).status).toBe(303)
  })

  it('is entered by GET alone', async () => {
    const { ask, entrance, directory } = await start()
    for (const method of ['HEAD', 'POST', 'OPTIONS']) expect((await ask(entrance(), { method })).status).toBe(405)
    expect(directory.redeemed.size).toBe(0)
  })

  it('answers that it cannot tell when the directory does not answer, and takes the ticket later', async () => {
    const { ask, entrance, directory } = await start()
    const path = entrance()
    await ask('/')
    directory.failure = new Error('throttled')
    expect((await ask(path)).status).toBe(503)
    directory.failure = undefined
    expect((await ask(path)).status).toBe(303)
  })
})

describe('who comes without a good cookie', () => {
  it('gets a page that says how to come in, and the task hears nothing', async () => {
    const { ask, task, member } = await start()
    const cookie = await member()
    const tampered = `${cookie.slice(0, -2)}AA`
    for (const headers of [
      {},
      { cookie: 'a=1' },
      { cookie: tampered },
      { cookie: '__Host-covibes-preview=' },
    ] as const) {
      const answer = await ask('/', { headers: { accept: 'text/html', ...headers } })
      expect(answer.status).toBe(403)
      expect(answer.body).toContain('Open the preview from Covibes')
      expect(answer.headers['content-security-policy']).toContain("frame-ancestors 'self' https://app.example")
    }
    expect(task.seen).toEqual([])
  })

  it('cannot bring the cookie of another preview, nor a ticket as a cookie', async () => {
    const { ask, directory, preview, member, ticket } = await start()
    const other = newPreviewLabel('staging')
    directory.items.set(other, { ...preview, branch: 'staging' })
    const cookie = await member()
    expect((await ask('/', { host: `${other}.${DOMAIN}`, headers: { cookie } })).status).toBe(403)
    expect((await ask('/', { headers: { cookie: `__Host-covibes-preview=${ticket()}` } })).status).toBe(403)
    expect((await ask('/', { headers: { cookie } })).status).toBe(200)
  })

  it('is let in when one of several cookies is good', async () => {
    const { ask, member } = await start()
    const headers = { cookie: `__Host-covibes-preview=junk; ${await member()}` }
    expect((await ask('/', { headers })).status).toBe(200)
  })

  it('is out again when the cookie has expired', async () => {
    let now = Date.now()
    const task = await startTask((_, response) => response.end('page'))
    const { ask, member } = await startFixture({ taskPort: task.port, now: () => now })
    const cookie = await member()
    now += 24 * 60 * 60_000 - 1
    expect((await ask('/', { headers: { cookie } })).status).toBe(200)
    now += 1
    expect((await ask('/', { headers: { cookie } })).status).toBe(403)
  })

  it('sees a preview that is public', async () => {
    const { ask, directory, label, preview } = await start()
    directory.items.set(label, { ...preview, public: true })
    expect((await ask('/')).body).toBe('page /')
    expect((await ask(`/?token=${JWT}`)).status).toBe(307)
  })
})

describe('token, ticket and cookie', () => {
  it('never reach the task: safe requests are sent to the clean address, others lose the parameter', async () => {
    const { ask, member, task, host } = await start()
    const own = await member()
    const headers = { cookie: `theme=dark; ${own}; lang=en` }
    const get = await ask(`/page?a=1&token=${JWT}&b=2`, { headers })
    expect(get.status).toBe(307)
    expect(get.headers.location).toBe(`https://${host}/page?a=1&b=2`)
    expect(get.headers['referrer-policy']).toBe('no-referrer')
    expect((await ask(`/page?%74oken=${JWT}`, { headers })).headers.location).toBe(`https://${host}/page`)
    expect((await ask(`//evil.example/?token=${JWT}`, { headers })).headers.location).toBe(
      `https://${host}//evil.example/`,
    )
    expect(task.seen).toEqual([])

    await ask(`/form?token=${JWT}&x`, { method: 'POST', headers, body: 'name=value' })
    expect(task.seen).toMatchObject([{ url: '/form?x', headers: { cookie: 'theme=dark; lang=en' } }])
    const passed = JSON.stringify(task.seen)
    expect(passed).not.toContain(JWT)
    expect(passed).not.toContain(own)
  })

  it('are taken out of the Referer', async () => {
    const { ask, member, task, host, entrance } = await start()
    const cookie = await member()
    const referers = [
      `https://${host}${entrance()}?token=${JWT}`,
      `https://${host}/list?token=${JWT}&page=2`,
      `https://app.example/?token=${JWT}`,
      'https://elsewhere.example/path?q=1',
    ]
    for (const referer of referers) await ask('/', { headers: { cookie, referer } })
    expect(task.seen.map(({ headers }) => headers.referer)).toEqual([
      `http://localhost:${task.port}/`,
      `http://localhost:${task.port}/list?page=2`,
      'https://app.example/',
      'https://elsewhere.example/path?q=1',
    ])
  })

  it('are in no line of the log', async () => {
    const { ask, member, entrance, ticket, log, directory, task } = await start()
    const cookie = await member()
    const used = entrance(ticket({ id: newTicketId() }))
    for (let round = 0; round < 2; round += 1) await ask(`${used}?token=${JWT}`)
    await ask(entrance(ticket({ exp: 0 })))
    directory.failure = new Error('throttled')
    await ask(`${entrance()}?token=${JWT}`)
    directory.failure = undefined
    task.close()
    await ask('/secret-path?key=secret-query', { headers: { cookie, authorization: 'Bearer secret-header' } })
    const lines = JSON.stringify(log)
    expect(log.length).toBeGreaterThan(2)
    for (const secret of [JWT, cookie.split('=')[1] ?? '', used.split('/')[3] ?? '', 'secret-', SECRET])
      expect(lines).not.toContain(secret)
  })
})
