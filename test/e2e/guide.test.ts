/** The integration guide's own tests ("Testing Strategy"), against the started product. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Product, startProduct, type TestMember } from '../support/product.ts'

const TEAM = 'test-team-123'

describe('Docker Integration', () => {
  let product: Product
  let member: TestMember
  beforeAll(async () => {
    product = await startProduct()
    member = await product.member(TEAM)
  })
  afterAll(() => product.close())

  async function createTeamEnvironment(teamId: string, repositoryUrl: string) {
    const { body } = await member.call('POST', '/api/environments', { teamId, repositoryUrl })
    return body as { success: boolean; containers: string[] }
  }

  /** Supertest's shape over the product's port. */
  const request = {
    post: (path: string) => ({ send: (body: unknown) => member.call('POST', path, body) }),
  }

  it('should create team environment', async () => {
    const teamId = 'test-team-123'
    const result = await createTeamEnvironment(teamId, 'https://github.com/test/repo.git')

    expect(result.success).toBe(true)
    expect(result.containers).toContain('claude-agent')
    expect(result.containers).toContain('preview')
    expect(result.containers).toContain('workspace-sync')
  })

  it('should spawn agent in container', async () => {
    const response = await request.post('/api/agents/spawn').send({
      teamId: 'test-team-123',
      task: 'Create a simple Hello World function',
      agentType: 'code-writer',
    })

    expect(response.status).toBe(200)
    expect(response.body).toMatchObject({ method: 'docker', success: true })
  })
})
