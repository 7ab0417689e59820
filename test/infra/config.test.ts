import { describe, expect, it } from 'vitest'
import { stageConfig, stages } from '../../infra/config.ts'

const nothing = () => undefined

describe('stageConfig', () => {
  it.each(Object.keys(stages))('%s is complete', (stage) => {
    expect(stageConfig(stage).stage).toBe(stage)
  })

  it('names the known stages when asked for another', () => {
    expect(() => stageConfig('staging')).toThrow('Unknown stage "staging"; known are local, dev, production.')
    expect(() => stageConfig('constructor')).toThrow('Unknown stage')
  })

  it('takes values of the shell for the stage local', () => {
    const variables = {
      LEGACY_API_URL: 'http://127.0.0.1:3001',
      MODEL_BASE_URL: 'http://127.0.0.1:4001',
      USE_DOCKER_AGENTS: 'false',
      PREVIEW_IDLE_MINUTES: '0.5',
      ALLOW_LOOPBACK_REPOSITORIES: 'false',
    }
    expect(stageConfig('local', nothing, variables)).toMatchObject({
      legacyApiUrl: 'http://127.0.0.1:3001',
      modelBaseUrl: 'http://127.0.0.1:4001',
      useDockerAgents: false,
      previewIdleMinutes: 0.5,
      allowLoopbackRepositories: false,
    })
  })

  it('lets nobody open a deployed stage to repositories on its own addresses', () => {
    const wanted = (key: string) => (key === 'allowLoopbackRepositories' ? 'true' : undefined)
    const variables = { ALLOW_LOOPBACK_REPOSITORIES: 'true' }
    for (const stage of ['dev', 'production'])
      expect(stageConfig(stage, wanted, variables).allowLoopbackRepositories).toBe(false)
  })

  it('takes a domain with its certificate, which CloudFront wants from us-east-1, or neither', () => {
    const appDomain = 'app.example.com'
    const certificateArn = 'arn:aws:acm:us-east-1:111122223333:certificate/abc'
    const given = (values: Record<string, string>) => stageConfig('production', (key) => values[key])
    expect(given({ appDomain, certificateArn })).toMatchObject({ appDomain, certificateArn })
    expect(() => given({ appDomain })).toThrow('appDomain and certificateArn are given together or not at all')
    expect(() => given({ certificateArn })).toThrow('appDomain and certificateArn are given together or not at all')
    expect(() => given({ appDomain, certificateArn: certificateArn.replace('us-east-1', 'eu-west-1') })).toThrow()
    expect(() => given({ appDomain: 'https://app.example.com', certificateArn })).toThrow('appDomain')
  })

  describe('preview domain', () => {
    const given = (values: Record<string, string>) => stageConfig('production', (key) => values[key])
    const previewHostedZoneId = 'Z0123456789'
    const app = {
      appDomain: 'app.example.com',
      certificateArn: 'arn:aws:acm:us-east-1:111122223333:certificate/abc',
    }

    it('comes with a certificate, or with the zone that proves one', () => {
      const previewDomain = 'preview.example.net'
      const previewCertificateArn = 'arn:aws:acm:eu-central-1:111122223333:certificate/abc'
      expect(given({ ...app, previewDomain, previewCertificateArn })).toMatchObject({ previewDomain })
      expect(given({ ...app, previewDomain, previewHostedZoneId })).toMatchObject({ previewHostedZoneId })
      expect(() => given({ previewDomain })).toThrow(
        'previewDomain needs previewCertificateArn, or previewHostedZoneId',
      )
      expect(() => given({ previewHostedZoneId })).toThrow('of no use without previewDomain')
      expect(() => given({ previewCertificateArn })).toThrow('of no use without previewDomain')
    })

    it.each(['app.example.com', 'preview.app.example.com', 'example.com', 'preview.example.com', 'x.y.EXAMPLE.com'])(
      'is another site than the app: not %s',
      (previewDomain) => {
        expect(() => given({ ...app, previewDomain, previewHostedZoneId })).toThrow('previewDomain')
      },
    )

    it('says why one site is refused', () => {
      expect(() => given({ ...app, previewDomain: 'preview.example.com', previewHostedZoneId })).toThrow(
        'another registrable domain than appDomain',
      )
    })

    it("needs no certificate on one's own machine", () => {
      expect(stageConfig('local').previewDomain).toBe('preview.localhost')
    })
  })

  it('ignores the shell for stages that are deployed', () => {
    expect(stageConfig('production', nothing, { LEGACY_API_URL: 'http://127.0.0.1:3001' }).legacyApiUrl).toBeUndefined()
  })

  it('takes CDK context for every stage, before the shell', () => {
    const context = (key: string) => (key === 'legacyApiUrl' ? 'https://server.example' : undefined)
    expect(stageConfig('production', context).legacyApiUrl).toBe('https://server.example')
    expect(stageConfig('local', context, { LEGACY_API_URL: 'http://127.0.0.1:3001' }).legacyApiUrl).toBe(
      'https://server.example',
    )
  })

  it('reads an empty variable as none', () => {
    expect(stageConfig('local', nothing, { LEGACY_API_URL: '' }).legacyApiUrl).toBeUndefined()
  })

  it('says which value does not fit', () => {
    expect(() => stageConfig('local', nothing, { MODEL_BASE_URL: 'nowhere' })).toThrow(/modelBaseUrl/)
    expect(() => stageConfig('local', nothing, { USE_DOCKER_AGENTS: 'yes' })).toThrow(/useDockerAgents/)
  })
})
