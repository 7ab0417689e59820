/** A team's environment: what was made for it once, so that its containers can run. Its containers are records of their own. */
import * as z from 'zod'
import { TEAM_ACCESS_POINTS, TEAM_TASK_KINDS } from '../../contracts/team-resources.ts'
import { MemberSchema } from '../environments/schema.ts'

const instant = z.iso.datetime()
const perKind = <S extends z.ZodType>(schema: S) =>
  z.object({ agent: schema.optional(), sync: schema.optional(), preview: schema.optional() })
const AccessPointSchema = z.object({ id: z.string(), arn: z.string(), available: z.boolean() })

export const TeamEnvironmentSchema = z.object({
  teamId: z.string().min(1),
  /** UUIDv7, new with every creation: what is left of an earlier environment of the team is told by it. */
  incarnation: z.uuid(),
  /** Writes of this item, from 1; the compare-and-set of every write. */
  revision: z.number().int().min(1),
  status: z.enum(['active', 'removing']),
  /** Null: the team has no repository, its files are kept all the same. */
  repositoryUrl: z.string().nullable(),
  createdAt: instant,
  createdBy: MemberSchema,
  /** Last use of the team's files, or wish for its environment; agents count by their own records. */
  lastUsedAt: instant,

  /** Kinds of tasks for which something was begun to be made: what has no answer yet may exist all the same. */
  begun: z.array(z.enum(TEAM_TASK_KINDS)),
  /** `agent` and `preview` see the shared files, `sync` all of the team's, `cache` what previews keep. */
  accessPoints: perKind(AccessPointSchema).extend({ cache: AccessPointSchema.optional() }),
  /** `mounts`: what the role's policy names. Absent: the kind's own access point only, as before there was a cache. */
  roles: perKind(z.object({ arn: z.string(), mounts: z.array(z.enum(TEAM_ACCESS_POINTS)).optional() })),
  /** The family's newest revision, and the base definition from which it was made. */
  definitions: perKind(z.object({ arn: z.string(), base: z.string() })),
  /** Who is making or removing something of the above, for each kind, until when (ms since the epoch). */
  leases: perKind(z.object({ holder: z.string(), until: z.number() })),
  /** Workspace sync has mounted the team's root directory, so that it exists with the right owner. */
  rootMadeAt: instant.optional(),

  removal: z
    .object({
      /** The team's files, secrets and settings go as well. */
      erase: z.boolean(),
      requestedAt: instant,
      /** Absent: the existing server or an operator. */
      userId: z.string().optional(),
      correlationId: z.string(),
      /** When it is given up until somebody asks again. */
      deadline: instant,
      /** When the next step is due; earlier messages are repeats. */
      nextStepAt: instant,
      /** What it waits for, or what went wrong last. */
      reason: z.string().optional(),
      erasedAt: instant.optional(),
    })
    .optional(),
})
export type TeamEnvironment = z.infer<typeof TeamEnvironmentSchema>
