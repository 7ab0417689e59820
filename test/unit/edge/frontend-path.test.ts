import { describe, expect, it } from 'vitest'
import { edgeFunction, routing } from './support.ts'

const frontendPath = edgeFunction('frontend-path.js')

describe('frontend-path', () => {
  it.each([
    '/',
    '/?auth_success=true&token=a.b.c',
    '/?error=no.such.thing',
    '/auth',
    '/teams/1/agents',
    '/deep/path/',
    '/folder.with.dots/page',
    '/file.js/',
    '//',
    '/.',
    '/..',
    '/a/../..',
    '/.env',
    '/name.',
    '/api',
    '/socket-client',
    '/%2e%2e/%2e%2e/etc/passwd',
  ])('%s is the page', (url) => {
    expect(routing(frontendPath, url)).toEqual({ uri: '/index.html', originId: undefined })
  })

  it.each([
    '/index.html',
    '/assets/index-4f3a.js',
    '/assets/index-4f3a.js.map',
    '/favicon.ico',
    '/missing.css',
    '/a/../b.js',
    '/@vite/client.mjs',
  ])('%s stays a file, there or not', (url) => {
    expect(routing(frontendPath, url)).toEqual({ uri: url, originId: undefined })
  })

  it('leaves no path that S3 would take for the bucket itself', () => {
    for (const url of ['', '/', '//', '/?list-type=2', '/?prefix=x.js']) {
      expect(routing(frontendPath, url).uri).toBe('/index.html')
    }
  })
})
