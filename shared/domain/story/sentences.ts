/** A ledger entry in plain words: what happened, who or what caused it, and why. */
import { MAX_START_ATTEMPTS } from '../../contracts/limits.ts'
import type { EnvironmentEventType } from '../environments/events.ts'
import type { LedgerEntry } from '../ledger/schema.ts'

/** What can be the cause of an entry about a record: an event of the state machine, or its creation. */
export type RecordCause =
  | EnvironmentEventType
  | 'spawn-requested'
  | 'preview-requested'
  | 'sync-requested'
  | 'erase-requested'

export type RecordEntry = LedgerEntry & { readonly environment: NonNullable<LedgerEntry['environment']> }

/** The member's name where it is known. */
export type NameOf = (userId: string) => string | undefined

type Sentence = (entry: RecordEntry, who: string) => string

/** With its reason, which is a person's or a platform's text, and one full stop at the end. */
function because(text: string, { reason }: Pick<LedgerEntry, 'reason'>): string {
  const whole = reason === undefined ? text : `${text}: ${reason}`
  return /[.!?…"]$/.test(whole) ? whole : `${whole}.`
}

const startedAnew = ({ environment: { generation } }: RecordEntry): string =>
  `It is started again (start ${generation}).`

const SENTENCES: Readonly<Record<RecordCause, Sentence>> = {
  'spawn-requested': (_, who) => `${who} asked for this agent.`,
  'preview-requested': (_, who) => `${who} asked for this preview.`,
  'sync-requested': (_, who) => `${who} asked for the environment, and workspace sync was set up.`,
  'erase-requested': () => "The team's files are to be erased, because the team is removed.",
  'start-claimed': ({ environment: { attempt } }) =>
    attempt === 1
      ? 'The control plane asks ECS to run it.'
      : `The control plane asks ECS to run it (try ${attempt} of ${MAX_START_ATTEMPTS}).`,
  'task-accepted': () => 'ECS took the order.',
  'start-delayed': (entry) => because('It cannot start yet', entry),
  'start-refused': (entry) =>
    entry.environment.to === 'killed'
      ? because('ECS had not started it when its end was wanted', entry)
      : because('ECS did not start it', entry),
  'start-abandoned': (entry) => because('The start was given up', entry),
  'task-observed': observed,
  'task-vanished': (entry) =>
    entry.environment.to === 'requested'
      ? `Its task is gone. ${startedAnew(entry)}`
      : because('It counts as ended', entry),
  'stop-requested': (entry, who) =>
    entry.environment.to === 'killed' ? `${who} stopped it before it had started.` : `${who} asked for it to stop.`,
  'delete-requested': (_, who) => `${who} deleted it.`,
  'restart-requested': (entry, who) =>
    entry.environment.to === 'requested'
      ? `${who} started it again (start ${entry.environment.generation}).`
      : `${who} asked for a restart.`,
  'stop-ordered': (entry) => because('The control plane stops it', entry),
  'start-ordered': (entry) => because('The control plane starts it again by itself', entry),
  'delete-ordered': (entry) => because('The control plane removes it', entry),
  'stop-failed': (entry) => because('It could not be stopped', entry),
  'ticket-used': () => 'Its container has connected.',
  'exit-reported': () => 'Its container said that its program has ended.',
  'health-reported': () => 'Its container said that its health has changed.',
  'sync-reported': ({ event }) =>
    event?.[0] === 'chat-message'
      ? `Workspace sync told the team: "${event[1].content}"`
      : 'Workspace sync said how the repository stands.',
  'preview-reported': ({ event }) =>
    event?.[0] === 'preview-status-update'
      ? because(`Its container said how far it is: ${PREVIEW_STATES[event[1].status]}`, { reason: event[1].message })
      : 'Its container said how far it is.',
  'wake-ordered': (entry) =>
    entry.environment.to === 'requested'
      ? `A visit started it again (start ${entry.environment.generation}).`
      : 'It is visited while it stops, and is to start again.',
  'visibility-set': (_, who) => `${who} set who may look at it.`,
}

const PREVIEW_STATES = {
  starting: 'its server is being prepared',
  running: 'its server answers',
  idle: 'nobody visits it',
  stopped: 'it is stopped',
  error: 'it cannot run',
} as const

function observed(entry: RecordEntry): string {
  const { from, to } = entry.environment
  switch (to) {
    case from:
      return 'ECS told of its task.'
    case 'requested':
      return `It has ended. ${startedAnew(entry)}`
    case 'starting':
      return 'ECS is starting it.'
    case 'running':
      return 'It runs.'
    case 'completed':
      return because('It ended by itself, with success', entry)
    case 'failed':
      return because('It failed', entry)
    case 'killed':
      return because('It has stopped', entry)
    default:
      return because(`ECS says that it is ${to}`, entry)
  }
}

const PLATFORM_NAMES = { platform: 'ECS', container: 'Its container', 'control-plane': 'The control plane' } as const

function actorOf({ actor }: LedgerEntry, nameOf: NameOf): string {
  if (actor.kind !== 'member') return PLATFORM_NAMES[actor.kind]
  if (actor.userId === '') return 'The existing server or an operator'
  return nameOf(actor.userId) ?? `The member ${actor.userId}`
}

/** Entries outlive the versions of this program: a cause that is not known (any more) is told by its name. */
export function sentenceOf(entry: RecordEntry, nameOf: NameOf): string {
  const { cause, environment } = entry
  const who = actorOf(entry, nameOf)
  if (Object.hasOwn(SENTENCES, cause)) return SENTENCES[cause as RecordCause](entry, who)
  const change = environment.from === environment.to ? `it stays ${environment.to}` : `it is ${environment.to} now`
  return because(`${who} caused "${cause}", ${change}`, entry)
}
