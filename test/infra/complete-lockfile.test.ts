import { describe, expect, it } from 'vitest'
import { completed } from '../../scripts/complete-lockfile.ts'

const parent = (optionalDependencies: Record<string, string>) => ({ version: '2.0.0', dev: true, optionalDependencies })

describe('completed', () => {
  it('adds what is missing, with its platform, and keeps what is there', () => {
    const linux = { version: '2.0.0', integrity: 'sha512-x', os: ['linux'], cpu: ['x64'], optional: true }
    const { lockfile, added } = completed({
      lockfileVersion: 3,
      packages: {
        '': {},
        'node_modules/tool': parent({
          '@tool/linux-x64': '2.0.0',
          '@tool/darwin-arm64': '2.0.0',
          '@tool/linux-arm-musleabihf': '2.0.0',
        }),
        'node_modules/@tool/linux-x64': linux,
      },
    })
    expect(added).toEqual(['@tool/darwin-arm64', '@tool/linux-arm-musleabihf'])
    expect(lockfile).toMatchObject({ lockfileVersion: 3 })
    expect(Object.keys(lockfile.packages)).toEqual([
      '',
      'node_modules/@tool/darwin-arm64',
      'node_modules/@tool/linux-arm-musleabihf',
      'node_modules/@tool/linux-x64',
      'node_modules/tool',
    ])
    expect(lockfile.packages['node_modules/@tool/linux-x64']).toBe(linux)
    expect(lockfile.packages['node_modules/@tool/darwin-arm64']).toEqual({
      version: '2.0.0',
      cpu: ['arm64'],
      dev: true,
      optional: true,
      os: ['darwin'],
    })
    expect(lockfile.packages['node_modules/@tool/linux-arm-musleabihf']).toMatchObject({ cpu: ['arm'], libc: ['musl'] })
  })

  it('changes nothing when nothing is missing, nested packages included', () => {
    const packages = {
      'node_modules/tool': parent({ 'tool-linux-x64': '2.0.0' }),
      'node_modules/tool/node_modules/tool-linux-x64': { version: '2.0.0' },
    }
    expect(completed({ packages })).toEqual({ lockfile: { packages }, added: [] })
  })

  it('refuses to guess a platform or a version', () => {
    const missing = (name: string, version: string) => () =>
      completed({ packages: { 'node_modules/tool': parent({ [name]: version }) } })
    expect(missing('fsevents', '2.0.0')).toThrow('fsevents: its name does not say for which platform it is.')
    expect(missing('tool-linux-x64', '^2.0.0')).toThrow('only an exact version')
  })
})
