import { randomBytes, randomInt, randomUUID, scrypt, timingSafeEqual } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import * as z from 'zod'

const UserSchema = z.object({
  id: z.string(),
  name: z.string(),
  email: z.string(),
  teamId: z.string(),
  /** `<salt>:<scrypt of the password>`, both in hex. */
  password: z.string().regex(/^[0-9a-f]{32}:[0-9a-f]{128}$/),
})
export type User = z.infer<typeof UserSchema>

const TeamSchema = z.object({
  id: z.string(),
  name: z.string(),
  inviteCode: z.string(),
  repositoryUrl: z.string().nullable(),
})
export type Team = z.infer<typeof TeamSchema>

const StateSchema = z.object({ users: z.array(UserSchema), teams: z.array(TeamSchema) })

/** A member together with the team. */
export interface Membership {
  readonly user: User
  readonly team: Team
}

export interface NewMember {
  readonly userName: string
  readonly email: string
  readonly password: string
}

/** The address has an account. */
export class EmailTaken extends Error {
  override readonly name = 'EmailTaken'
}

const derive = promisify<string, Buffer, number, Buffer>(scrypt)
/** Letters and digits that nobody reads as another one. */
const CODE_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'
const CODE_LENGTH = 6

/** Accounts and teams in one JSON file, which is replaced as a whole at each change. */
export class Accounts {
  readonly #file: string
  readonly #state: z.infer<typeof StateSchema>

  /** @throws when the file is there and is not one of these. */
  constructor(file: string) {
    this.#file = file
    this.#state = existsSync(file)
      ? StateSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
      : { users: [], teams: [] }
  }

  /** A new team and its first member. @throws EmailTaken */
  async register(teamName: string, member: NewMember): Promise<Membership> {
    const password = await hashed(member.password)
    const team: Team = { id: randomUUID(), name: teamName, inviteCode: this.#newCode(), repositoryUrl: null }
    const user = this.#newUser(member, team.id, password)
    this.#state.teams.push(team)
    this.#state.users.push(user)
    this.#save()
    return { user, team }
  }

  /** A new member of the team with that code; undefined: there is no such team. @throws EmailTaken */
  async join(inviteCode: string, member: NewMember): Promise<Membership | undefined> {
    const team = this.#state.teams.find((one) => one.inviteCode === inviteCode)
    if (!team) return undefined
    const password = await hashed(member.password)
    const user = this.#newUser(member, team.id, password)
    this.#state.users.push(user)
    this.#save()
    return { user, team }
  }

  /** Undefined: no such account or another password, which takes the same time. */
  async login(email: string, password: string): Promise<Membership | undefined> {
    const user = this.#state.users.find((one) => one.email === normal(email))
    const isRight = await matches(password, user?.password ?? NOBODYS_PASSWORD)
    return user && isRight ? this.membership(user.id, user.teamId) : undefined
  }

  membership(userId: string, teamId: string): Membership | undefined {
    const user = this.#state.users.find((one) => one.id === userId && one.teamId === teamId)
    const team = this.#state.teams.find((one) => one.id === teamId)
    return user && team && { user, team }
  }

  /** Undefined: no such team. */
  setRepository(teamId: string, repositoryUrl: string): Team | undefined {
    const team = this.#state.teams.find((one) => one.id === teamId)
    if (!team) return undefined
    team.repositoryUrl = repositoryUrl
    this.#save()
    return team
  }

  /** Looked up and made in one go: two registrations of one address cannot both find it free. */
  #newUser({ userName, email }: NewMember, teamId: string, password: string): User {
    const address = normal(email)
    if (this.#state.users.some((one) => one.email === address)) throw new EmailTaken()
    return { id: randomUUID(), name: userName, email: address, teamId, password }
  }

  #newCode(): string {
    const code = Array.from({ length: CODE_LENGTH }, () => CODE_ALPHABET[randomInt(CODE_ALPHABET.length)]).join('')
    return this.#state.teams.some((team) => team.inviteCode === code) ? this.#newCode() : code
  }

  /** Written beside and renamed over: whoever reads finds the old state or the new one. */
  #save(): void {
    mkdirSync(dirname(this.#file), { recursive: true })
    const draft = `${this.#file}.new`
    writeFileSync(draft, `${JSON.stringify(this.#state, null, 2)}\n`, { mode: 0o600, flush: true })
    renameSync(draft, this.#file)
  }
}

const normal = (email: string): string => email.trim().toLowerCase()
const KEY_BYTES = 64

async function hashed(password: string): Promise<string> {
  const salt = randomBytes(16)
  return `${salt.toString('hex')}:${(await derive(password, salt, KEY_BYTES)).toString('hex')}`
}

/** What is compared with when there is no account. */
const NOBODYS_PASSWORD = `${'0'.repeat(32)}:${'0'.repeat(2 * KEY_BYTES)}`

async function matches(password: string, stored: string): Promise<boolean> {
  const [salt = '', key = ''] = stored.split(':')
  return timingSafeEqual(await derive(password, Buffer.from(salt, 'hex'), KEY_BYTES), Buffer.from(key, 'hex'))
}
