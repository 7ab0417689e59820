import { describe, expect, it } from 'vitest'
import { normalizedPath, pathMatcher } from '../../../../local/edge/path-pattern.ts'

describe('normalizedPath', () => {
  it.each([
    ['/', '/'],
    ['//', '/'],
    ['/a/b', '/a/b'],
    ['/a/b/', '/a/b/'],
    ['/a//b', '/a/b'],
    ['/a/b/..', '/a/'],
    ['/a/./b', '/a/b'],
    ['/a/b/../c', '/a/c'],
    ['/../../a', '/a'],
    ['/..', '/'],
    ['/%61pi/x', '/api/x'],
    ['/%2e%2E/a', '/a'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%20b%zz%', '/a%20b%zz%'],
  ])('%s is %s', (path, normalized) => {
    expect(normalizedPath(path)).toBe(normalized)
  })
})

describe('pathMatcher', () => {
  it.each([
    ['*', '/anything/at/all', true],
    ['/api/*', '/api/', true],
    ['/api/*', '/api/a/b.c', true],
    ['/api/*', '/api', false],
    ['/api/*', '/API/a', false],
    ['/api/*', '/x/api/a', false],
    ['/socket.io', '/socket.io', true],
    ['/socket.io', '/socketxio', false],
    ['/socket.io', '/socket.io/', false],
    ['images/*.jp?', '/images/a/b.jpg', true],
    ['images/*.jp?', '/images/a.jpeg', false],
    ['/a+(b)', '/a+(b)', true],
  ])('%s on %s: %s', (pattern, path, matches) => {
    expect(pathMatcher(pattern)(path)).toBe(matches)
  })
})
