/** Who one is and whose repository is worked on: accounts, teams, and the GitHub and VM dialogs, which find nothing connected. */
import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { type Accounts, EmailTaken, type Membership, type NewMember } from './accounts.ts'
import { type Answer, bodyOf, type Handler, type Member, ok, Refusal } from './http.ts'
import { issueToken } from './tokens.ts'

const name = z.string().trim().min(1, 'is required').max(100)
const NewMemberSchema = z.object({
  userName: name,
  email: z.email('must be an e-mail address').max(200),
  password: z.string().min(6, 'must have at least 6 characters').max(200),
})
const RegisterSchema = NewMemberSchema.extend({ teamName: name })
const JoinSchema = NewMemberSchema.extend({
  inviteCode: z.string().trim().toUpperCase().length(6, 'must have 6 characters'),
})
const LoginSchema = z.object({ email: z.string().min(1).max(200), password: z.string().min(1).max(200) })
const RepositorySchema = z.object({
  repositoryUrl: z
    .string()
    .trim()
    .max(2048)
    .regex(/^((https?|ssh):\/\/|git@)[^\s]+$/, 'must be the URL of a git repository'),
})

export function accountRoutes(accounts: Accounts, secret: string): Record<string, Handler> {
  const signedIn = async (status: number, message: string, membership: Membership): Promise<Answer> => {
    const { user, team } = membership
    const token = await issueToken({ userId: user.id, teamId: team.id }, secret)
    return ok({ message, token, ...shown(membership) }, status)
  }
  const known = ({ userId, teamId }: Member): Membership => {
    const membership = accounts.membership(userId, teamId)
    if (!membership) throw new Refusal(404, 'User not found')
    return membership
  }
  const setRepository: Handler = async ({ request, member }) => {
    const { team } = known(await member())
    const { repositoryUrl } = await bodyOf(request, RepositorySchema)
    return ok({ message: 'Repository configured', team: accounts.setRepository(team.id, repositoryUrl) })
  }
  const noVm: Handler = async ({ member }) => {
    await member()
    return ok({ success: false, message: 'Agents run on this machine itself; there is no VM to connect to' })
  }
  const noRepositories: Handler = async ({ member }) => {
    await member()
    return ok({ repositories: [] })
  }
  return {
    'POST /api/auth/register': async ({ request }) => {
      const { teamName, ...member } = await bodyOf(request, RegisterSchema)
      return signedIn(201, 'Team created', await created(() => accounts.register(teamName, member)))
    },
    'POST /api/auth/join': async ({ request }) => {
      const { inviteCode, ...member } = await bodyOf(request, JoinSchema)
      const membership = await created(() => accounts.join(inviteCode, member satisfies NewMember))
      if (!membership) throw new Refusal(404, 'Invalid invite code')
      return signedIn(201, 'Joined the team', membership)
    },
    'POST /api/auth/login': async ({ request }) => {
      const { email, password } = await bodyOf(request, LoginSchema)
      const membership = await accounts.login(email, password)
      if (!membership) throw new Refusal(401, 'Invalid email or password')
      return signedIn(200, 'Signed in', membership)
    },
    'GET /api/auth/me': async ({ member }) => ok(shown(known(await member()))),
    // As the existing server does it: a session for the way to GitHub and back, which here is short.
    'GET /api/auth/github': async () => ({
      status: 302,
      headers: {
        location: '/?error=github_not_configured',
        'set-cookie': `connect.sid=${randomUUID()}; Path=/; HttpOnly; SameSite=Lax`,
      },
    }),
    'POST /api/auth/github/complete': async () => {
      throw new Refusal(400, 'No sign-up by GitHub is under way')
    },
    'POST /api/team/configure-repository': setRepository,
    'POST /api/github/set-team-repository': setRepository,
    'GET /api/github/status': async ({ member }) => {
      await member()
      return ok({ connected: false })
    },
    'GET /api/github/repositories': noRepositories,
    'GET /api/github/search': noRepositories,
    'GET /api/vm/status': async ({ member }) => {
      await member()
      return ok({ connected: false, ip: null, message: 'No VM is configured' })
    },
    'POST /api/vm/configure': noVm,
    'POST /api/vm/test': noVm,
    'GET /api/ide/files': async ({ member }) => {
      await member()
      return ok({ files: [] })
    },
  }
}

async function created<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make()
  } catch (error) {
    if (error instanceof EmailTaken) throw new Refusal(400, 'Email already registered')
    throw error
  }
}

const shown = ({ user: { id, name: userName, email, teamId }, team }: Membership) => ({
  user: { id, name: userName, email, teamId, hasVMConfig: false },
  team,
})
