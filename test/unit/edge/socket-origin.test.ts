import { describe, expect, it } from 'vitest'
import { edgeFunction, routing } from './support.ts'

const socketOrigin = edgeFunction('socket-origin.js')
const routed = (url: string) => routing(socketOrigin, url)

/** The behaviour's own origin is the WebSocket API. */
const webSocket = { uri: '/live', originId: undefined }
const polling = (uri: string) => ({ uri, originId: 'http-api' })

describe('socket-origin', () => {
  it.each([
    ['with a session', '/socket.io/?EIO=4&transport=websocket&sid=abc'],
    ['without a session', '/socket.io/?EIO=4&transport=websocket'],
    ['the transport first', '/socket.io/?transport=websocket&EIO=4'],
    ['without the slash', '/socket.io?EIO=4&transport=websocket'],
    ['a deeper path', '/socket.io/a/b?transport=websocket'],
    ['given twice, alike', '/socket.io/?transport=websocket&transport=websocket'],
  ])('leaves an upgrade to the WebSocket API, whose path is its stage alone: %s', (_, url) => {
    expect(routed(url)).toEqual(webSocket)
  })

  it.each([
    ['a poll', '/socket.io/?EIO=4&transport=polling&t=x&sid=abc', '/socket.io/'],
    ['a poll without the slash', '/socket.io?EIO=4&transport=polling', '/socket.io/'],
    ['a deeper path', '/socket.io/a/b?transport=polling', '/socket.io/a/b'],
    ['no query', '/socket.io/', '/socket.io/'],
    ['an empty query', '/socket.io/?', '/socket.io/'],
    ['no transport', '/socket.io/?EIO=4', '/socket.io/'],
    ['an empty transport', '/socket.io/?transport=', '/socket.io/'],
    ['a transport without a value', '/socket.io/?transport', '/socket.io/'],
    ['another transport', '/socket.io/?transport=webtransport', '/socket.io/'],
    ['another case', '/socket.io/?transport=WebSocket', '/socket.io/'],
    ['another name', '/socket.io/?Transport=websocket', '/socket.io/'],
    ['encoded', '/socket.io/?transport=%77ebsocket', '/socket.io/'],
    ['an encoded name', '/socket.io/?%74ransport=websocket', '/socket.io/'],
    ['a longer value', '/socket.io/?transport=websocket2', '/socket.io/'],
    ['polling, then websocket', '/socket.io/?transport=polling&transport=websocket', '/socket.io/'],
    ['websocket, then polling', '/socket.io/?transport=websocket&transport=polling', '/socket.io/'],
    ['inside another value', '/socket.io/?t=transport=websocket', '/socket.io/'],
    ['a hostile name', '/socket.io/?__proto__=websocket&constructor=websocket', '/socket.io/'],
  ])('sends everything else to the HTTP API: %s', (_, url, uri) => {
    expect(routed(url)).toEqual(polling(uri))
  })

  it('goes by the query alone: functions do not see Upgrade', () => {
    const headers = ['Host', 'app.example', 'Connection', 'Upgrade', 'Upgrade', 'websocket']
    expect(routing(socketOrigin, '/socket.io/?transport=polling', headers)).toEqual(polling('/socket.io/'))
  })

  it('forgets the choice it made for the request before', () => {
    expect(routed('/socket.io/?transport=polling').originId).toBe('http-api')
    expect(routed('/socket.io/?transport=websocket').originId).toBeUndefined()
  })
})
