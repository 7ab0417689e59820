import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ServiceEvent, taskStateChangeEvent } from './documents.ts'
import { killRecorded, type RecordedProcess } from './processes.ts'
import { REASONS } from './reasons.ts'
import { createStateFile, readStateFile } from './state-file.ts'
import { taskDirectory } from './task-directory.ts'
import { type Task, type TaskDefinition, taskIdOf } from './types.ts'

/** A client token that was used: for 24 hours it answers with the same tasks. */
export interface UsedToken {
  readonly cluster: string
  readonly token: string
  /** The call's parameters in a canonical form. */
  readonly parameters: string
  readonly taskArns: readonly string[]
  readonly usedAt: number
}

/** The form of `ecs.json`; raised when it changes. */
const STATE_VERSION = 1
/** Stopped tasks kept at most, so that an hour of many short ones does not make every write long. */
const MAX_STOPPED_TASKS = 1_000

/** What `ecs.json` holds. */
interface State {
  readonly version: typeof STATE_VERSION
  readonly tasks: readonly Task[]
  readonly tokens: readonly UsedToken[]
  readonly processes: readonly (RecordedProcess & { readonly taskArn: string })[]
  readonly taskDefinitions: readonly TaskDefinition[]
}

/** Client tokens live this long. Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html */
export const TOKEN_LIFE_MS = 24 * 3_600_000

/** All tasks and what must survive a restart of the runtime. */
export interface TaskStore {
  /** Oldest first. */
  tasks(): Iterable<Task>
  task(idOrArn: string): Task | undefined
  /** Takes a new task in, writes it down, and tells it in an event. */
  add(tasks: readonly Task[], token: UsedToken | undefined): Promise<void>
  /**
   * The one way in which a task changes: mutates it, raises its version, writes it down, and only then tells it in an
   * event, so that no version is told twice with different content, whenever the runtime dies.
   */
  change(task: Task, mutate: (task: Task) => void): Promise<void>
  token(cluster: string, token: string): UsedToken | undefined
  /** Writes down that a process may be running for a task, before or after it starts. */
  recordProcess(taskArn: string, process: RecordedProcess): Promise<void>
  forgetProcesses(taskArn: string): void
  /** What was registered by call in an earlier run. */
  readonly registered: readonly TaskDefinition[]
  /** Writes the state down, as after a registration. */
  save(): Promise<void>
  /** Kills what an earlier run left running, and reports its unfinished tasks as stopped. Answers these. */
  recover(): Promise<readonly Task[]>
  close(): Promise<void>
}

const stoppedTexts = new WeakMap<Task, { readonly tags: Task['tags']; readonly text: string }>()

/** A task as JSON. Most tasks have stopped and change in nothing but their tags, so their text is made once. */
function textOf(task: Task): string {
  const known = stoppedTexts.get(task)
  if (known?.tags === task.tags) return known.text
  const text = JSON.stringify(task)
  if (task.lastStatus === 'STOPPED') stoppedTexts.set(task, { tags: task.tags, text })
  return text
}

/** Opens the store over `<stateDir>/ecs.json`. */
export async function openTaskStore(options: {
  readonly stateDir: string
  /** A stopped task is forgotten after this time. ECS: at least an hour. */
  readonly stoppedRetentionMs: number
  readonly now: () => number
  readonly emit: (event: ServiceEvent) => void
  /** The definitions registered by call, to be written down. */
  readonly registered: () => readonly TaskDefinition[]
  readonly onDefect: (error: unknown) => void
}): Promise<TaskStore> {
  const { stateDir, now } = options
  const path = join(stateDir, 'ecs.json')
  const before = (await readStateFile(path)) as State | undefined
  if (before && before.version !== STATE_VERSION)
    throw new Error(`${path} is of version ${before.version}, not ${STATE_VERSION}; start afresh with --reset`)
  const tasks = new Map<string, Task>((before?.tasks ?? []).map((task) => [task.taskArn, task]))
  const tokens = new Map<string, UsedToken>()
  const processes = new Map<string, RecordedProcess & { taskArn: string }>()
  const forgetting = new Map<string, NodeJS.Timeout>()
  const underWay = new Set<Promise<void>>()
  const tokenKey = (cluster: string, token: string) => `${cluster} ${token}`
  const keyOf = ({ marks }: RecordedProcess) => marks.join(' ')
  for (const used of before?.tokens ?? []) tokens.set(tokenKey(used.cluster, used.token), used)
  for (const process of before?.processes ?? []) processes.set(keyOf(process), process)

  const file = createStateFile(path, () => {
    const rest: Omit<State, 'tasks'> = {
      version: STATE_VERSION,
      tokens: [...tokens.values()],
      processes: [...processes.values()],
      taskDefinitions: options.registered(),
    }
    const texts = [...tasks.values()].map(textOf)
    return `${JSON.stringify(rest).slice(0, -1)},"tasks":[${texts.join(',')}]}`
  })

  function forgetLater(task: Task): void {
    const left = Math.max(0, (task.stoppedAt ?? now()) + options.stoppedRetentionMs - now())
    const timer = setTimeout(() => beginToForget(task), left)
    timer.unref()
    forgetting.set(task.taskArn, timer)
    // Tasks are forgotten in the order in which they stopped.
    for (const taskArn of forgetting.keys()) {
      const oldest = tasks.get(taskArn)
      if (forgetting.size <= MAX_STOPPED_TASKS || !oldest) break
      clearTimeout(forgetting.get(taskArn))
      forgetting.delete(taskArn)
      beginToForget(oldest)
    }
  }

  function beginToForget(task: Task): void {
    const forgotten: Promise<void> = forget(task)
      .catch(options.onDefect)
      .finally(() => underWay.delete(forgotten))
    underWay.add(forgotten)
  }

  async function forget(task: Task): Promise<void> {
    tasks.delete(task.taskArn)
    forgetting.delete(task.taskArn)
    for (const [key, used] of tokens) if (used.usedAt + TOKEN_LIFE_MS <= now()) tokens.delete(key)
    await rm(taskDirectory(stateDir, task.taskArn), { recursive: true, force: true })
    await file.save()
  }

  async function change(task: Task, mutate: (task: Task) => void): Promise<void> {
    mutate(task)
    task.version += 1
    task.updatedAt = now()
    const event = taskStateChangeEvent(task)
    if (task.lastStatus === 'STOPPED') forgetLater(task)
    await file.save()
    options.emit(event)
  }

  async function recover(): Promise<readonly Task[]> {
    await Promise.all([...processes.values()].map(killRecorded))
    processes.clear()
    const ended: Task[] = []
    for (const task of [...tasks.values()]) {
      if (task.lastStatus === 'STOPPED') forgetLater(task)
      else {
        await change(task, endWithRuntime)
        ended.push(task)
      }
    }
    await file.save()
    return ended
  }

  function endWithRuntime(task: Task): void {
    const at = now()
    // A stop that was under way keeps its own reason.
    task.stopCode ??= 'InfrastructureHealth'
    task.stoppedReason ??= REASONS.runtimeRestarted
    task.desiredStatus = 'STOPPED'
    task.lastStatus = 'STOPPED'
    task.eniStatus = 'DELETED'
    task.stoppingAt ??= at
    task.stoppedAt = at
    if (task.startedAt !== undefined) task.executionStoppedAt ??= at
    for (const container of task.containers) {
      if (container.lastStatus === 'RUNNING') container.exitCode ??= 137
      container.lastStatus = 'STOPPED'
    }
  }

  return {
    tasks: () => tasks.values(),
    task: (idOrArn) => {
      const id = taskIdOf(idOrArn)
      for (const task of tasks.values())
        if (task.taskArn === idOrArn || (!idOrArn.startsWith('arn:') && taskIdOf(task.taskArn) === id)) return task
      return undefined
    },
    async add(added, token) {
      for (const task of added) tasks.set(task.taskArn, task)
      if (token) tokens.set(tokenKey(token.cluster, token.token), token)
      const events = added.map((task) => taskStateChangeEvent(task))
      try {
        await file.save()
      } catch (error) {
        // Nobody will run them: the caller is told that the call failed.
        for (const { taskArn } of added) tasks.delete(taskArn)
        if (token) tokens.delete(tokenKey(token.cluster, token.token))
        throw error
      }
      for (const event of events) options.emit(event)
    },
    change,
    token: (cluster, token) => {
      const used = tokens.get(tokenKey(cluster, token))
      return used && used.usedAt + TOKEN_LIFE_MS > now() ? used : undefined
    },
    async recordProcess(taskArn, process) {
      processes.set(keyOf(process), { ...process, taskArn })
      await file.save()
    },
    forgetProcesses(taskArn) {
      for (const [key, process] of processes) if (process.taskArn === taskArn) processes.delete(key)
    },
    registered: before?.taskDefinitions ?? [],
    save: file.save,
    recover,
    async close() {
      for (const timer of forgetting.values()) clearTimeout(timer)
      await Promise.all(underWay)
      await file.close()
    },
  }
}
