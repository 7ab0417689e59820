import { createHash } from 'node:crypto'
import type { SpawnAgentBody } from '../../contracts/agents.ts'
import { DEFAULT_TASK_SIZE, type TaskSize } from '../../contracts/limits.ts'
import { orderWork } from '../environments/operations.ts'
import type { Change } from '../environments/ports.ts'
import { type AgentEnvironment, expectType } from '../environments/schema.ts'
import { fargateSize, formatCpu, formatMemory, parseCpu, parseMemory } from '../environments/task-size.ts'
import { BadRequest, Conflict, Forbidden, IdempotencyKeyReused, TooManyAgents } from '../errors.ts'
import type { Flags } from '../flags/schema.ts'
import type { Profiles } from '../profiles/ports.ts'
import type { Profile } from '../profiles/schema.ts'
import { ensureTeamEnvironment } from '../teams/operations.ts'
import { checkRepository, type TeamRepository, teamRepository } from '../teams/repository.ts'
import { agentName } from './names.ts'
import type { Member, WriteAgentDeps } from './ports.ts'
import { agentView } from './view.ts'

export interface SpawnRequest {
  readonly body: SpawnAgentBody
  readonly member: Member
  readonly idempotencyKey?: string | undefined
  readonly correlationId: string
}
export interface SpawnDeps extends WriteAgentDeps {
  readonly profiles: Profiles
  /** Whether repositories on this machine's own addresses are allowed: the one-machine runtime. */
  readonly allowLoopbackRepositories: boolean
  /** In [0, 1). */
  readonly random: () => number
}

/**
 * Creates the agent's record and leaves its start to the queue, so the answer does not wait for ECS; the team's environment is
 * made, or its workspace sync woken, before. On the `ssh` backend the existing server starts it, and the record pins it there.
 *
 * @throws Forbidden for another team's id, Conflict for another repository than the team's and while the team's environment is
 * being removed, BadRequest for a repository that cannot be used and for a size over the team's limit, TooManyAgents when all
 * slots are leased, IdempotencyKeyReused.
 */
export async function spawnAgent(request: SpawnRequest, deps: SpawnDeps): Promise<{ record: AgentEnvironment }> {
  const { body, member } = request
  if (body.teamId !== undefined && body.teamId !== member.teamId)
    throw new Forbidden('teamId is not the team of your token', [{ field: 'teamId', message: 'another team' }])
  const [flags, profile] = await Promise.all([deps.flagsOf(member.teamId), deps.profiles.of(member, member.token)])
  const repository = teamRepository(body.repositoryUrl ?? null, profile)
  const size = taskSize(body, flags)
  const record = newRecord(request, { profile, repositoryUrl: repository.url, size }, deps)
  if (!flags.useDockerAgents) return spawnOverSsh(record, request, deps)
  const team = await teamFor(request, record, repository, deps)
  return spawnContainer({ ...record, repositoryUrl: team.repositoryUrl }, request, flags, deps)
}

async function teamFor(
  { member: { teamId, userId }, correlationId }: SpawnRequest,
  { createdBy: { userName } }: AgentEnvironment,
  repository: TeamRepository,
  deps: SpawnDeps,
) {
  if (repository.url !== null) checkRepository(repository.url, deps.allowLoopbackRepositories)
  const request = { teamId, by: { userId, userName }, correlationId, repository }
  return (await ensureTeamEnvironment(request, deps)).team
}

async function spawnContainer(record: AgentEnvironment, request: SpawnRequest, flags: Flags, deps: SpawnDeps) {
  const { idempotencyKey } = request
  const created = await deps.environments.create({
    record,
    entry: spawned(record, request),
    slots: flags.agentSlots,
    ...(idempotencyKey === undefined ? {} : { idempotency: idempotencyOf(request, idempotencyKey) }),
  })
  switch (created.outcome) {
    case 'no-slot':
      throw new TooManyAgents(flags.agentSlots)
    case 'key-reused':
      throw new IdempotencyKeyReused()
    case 'replayed': {
      const earlier = await deps.environments.get(created.ref)
      if (!earlier || earlier.deletedAt) throw new Conflict('The agent of this Idempotency-Key has been deleted')
      return { record: expectType(earlier, 'agent') }
    }
    case 'exists':
      throw new Error(`an agent's id was drawn twice: ${record.id}`)
    case 'created': {
      await Promise.all([orderWork(created.record, request.correlationId, deps), deps.publish([created.entry])])
      return { record: created.record }
    }
  }
}

async function spawnOverSsh(draft: AgentEnvironment, request: SpawnRequest, deps: SpawnDeps) {
  const { body, member } = request
  const view = await deps.ssh.spawn({ task: body.task, agentType: body.agentType }, member.token)
  const now = deps.clock.now().toISOString()
  const record: AgentEnvironment = {
    ...draft,
    id: view.id,
    name: `covibes_agent_${member.teamId}_${view.id}`,
    backend: 'ssh',
    status: view.status === 'starting' ? 'starting' : 'running',
    claimedAt: now,
    agent: { ...draft.agent, agentName: view.agentName || draft.agent.agentName },
  }
  const created = await deps.environments.create({ record, entry: spawned(record, request) })
  if (created.outcome === 'created') await deps.publish([created.entry])
  return { record }
}

function newRecord(
  { body, member, correlationId }: SpawnRequest,
  { profile, repositoryUrl, size }: { profile: Profile; repositoryUrl: string | null; size: TaskSize },
  deps: SpawnDeps,
): AgentEnvironment {
  const id = deps.newId()
  const now = deps.clock.now().toISOString()
  return {
    teamId: member.teamId,
    id,
    type: 'agent',
    name: `covibes_agent_${member.teamId}_${id}`,
    backend: 'docker',
    status: 'requested',
    generation: 1,
    attempt: 1,
    revision: 1,
    createdAt: now,
    updatedAt: now,
    createdBy: { userId: member.userId, userName: profile.userName },
    agent: { agentType: body.agentType, agentName: agentName(deps.random), task: body.task.trim() },
    repositoryUrl,
    size,
    correlationId,
  }
}

const spawned = (record: AgentEnvironment, { member, correlationId }: SpawnRequest): Change['entry'] => ({
  at: record.createdAt,
  actor: { kind: 'member', userId: member.userId },
  cause: 'spawn-requested',
  correlationId,
  event: ['agent-spawned', { agent: agentView(record) }],
})

/** The key is the member's own: two members may use the same. */
const idempotencyOf = ({ body, member }: SpawnRequest, key: string) => ({
  key: `${member.userId}\n${key}`,
  fingerprint: createHash('sha256').update(JSON.stringify(body)).digest('hex'),
})

function taskSize({ containerOptions }: SpawnAgentBody, { maxTaskSize }: Flags): TaskSize {
  const { cpu, memory } = containerOptions?.resources ?? {}
  const field = 'containerOptions.resources'
  const size = fargateSize({
    cpu: cpu === undefined ? DEFAULT_TASK_SIZE.agent.cpu : parseCpu(cpu),
    memory: memory === undefined ? DEFAULT_TASK_SIZE.agent.memory : parseMemory(memory),
  })
  if (!size)
    throw new BadRequest('No container of that size exists', [{ field, message: 'larger than Fargate offers' }])
  if (size.cpu > maxTaskSize.cpu || size.memory > maxTaskSize.memory) {
    const limit = `${formatCpu(maxTaskSize.cpu)} vCPU and ${formatMemory(maxTaskSize.memory)}`
    throw new BadRequest(`Your team's containers may have at most ${limit}`, [
      { field, message: `rounds up to ${formatCpu(size.cpu)} vCPU and ${formatMemory(size.memory)}` },
    ])
  }
  return size
}
