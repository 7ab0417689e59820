import { readdirSync, readFileSync } from 'node:fs'
import { StopTaskCommand } from '@aws-sdk/client-ecs'
import { describe, expect, test } from 'vitest'
import { matchesPattern } from '../../../../local/eventbridge/event-pattern.ts'
import { runOne, startEcs, stopped, template } from './support.ts'

const FOLDER = new URL('../../../fixtures/ecs-events/', import.meta.url)

/** Events as others have published them, each with where. */
const PUBLISHED = Object.fromEntries(
  readdirSync(FOLDER).map((name) => {
    const { source, event } = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as {
      source: string
      event: object
    }
    expect(source).toMatch(/^https:\/\//)
    return [name.replace('.json', ''), event]
  }),
)

/** Every path of a document with the type of what stands there; members of a list share one path. */
function shape(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return [`${path}: array`, ...value.flatMap((item) => shape(item, `${path}[]`))]
  if (typeof value === 'object' && value !== null)
    return [
      `${path}: object`,
      ...Object.entries(value).flatMap(([key, inner]) => shape(inner, path === '' ? key : `${path}.${key}`)),
    ]
  const isTime = typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)
  return [`${path}: ${isTime ? 'time' : typeof value}`]
}

const shapes = (value: unknown) => new Set(shape(value))
const KNOWN = new Set(Object.values(PUBLISHED).flatMap((event) => shape(event)))

async function ours(program: string, stop: boolean) {
  const { client, events, lines, until } = await startEcs(program)
  const { taskArn } = await runOne(client, {
    startedBy: 'team/record/1',
    enableExecuteCommand: true,
    launchType: undefined,
    capacityProviderStrategy: [{ capacityProvider: 'FARGATE', weight: 1 }],
  })
  if (stop) {
    await until(() => lines.find(({ line }) => line === 'up'))
    await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))
  }
  await until(() => stopped(events, taskArn))
  return events
}

const FOREVER = 'console.log("up"); setInterval(() => {}, 1000)'

describe('our events have the fields and types of published ones, and no others', () => {
  test('a stopped task, stopped by its user', async () => {
    const last = (await ours(FOREVER, true)).at(-1)
    expect([...shapes(PUBLISHED['stopped-by-user'])].filter((each) => !shapes(last).has(each))).toEqual([])
    expect(last?.detail).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'Task stopped by user' })
  })

  test('a stopped task, whose essential container exited', async () => {
    const last = (await ours('process.exit(2)', false)).at(-1)
    expect([...shapes(PUBLISHED['essential-container-exited'])].filter((each) => !shapes(last).has(each))).toEqual([])
  })

  test('a running task', async () => {
    const running = (await ours(FOREVER, true)).find(
      ({ detail }) => detail.lastStatus === 'RUNNING' && detail.desiredStatus === 'RUNNING',
    )
    expect([...shapes(PUBLISHED.running)].filter((each) => !shapes(running).has(each))).toEqual([])
  })

  test('none of the events of a life has a field that no published event has', async () => {
    for (const event of await ours(FOREVER, true))
      expect([...shapes(event)].filter((each) => !KNOWN.has(each))).toEqual([])
  })
})

test('a rule finds our events as it finds published ones', async () => {
  const rule = {
    source: ['aws.ecs'],
    'detail-type': ['ECS Task State Change'],
    detail: { lastStatus: ['STOPPED'], clusterArn: [{ prefix: 'arn:aws:ecs:' }], stopCode: ['UserInitiated'] },
  }
  expect(matchesPattern(rule, PUBLISHED['stopped-by-user'])).toBe(true)
  expect(matchesPattern(rule, PUBLISHED.running)).toBe(false)
  expect((await ours(FOREVER, true)).filter((event) => matchesPattern(rule, event))).toHaveLength(1)
})

test('values of overrides are readable in events', async () => {
  const { client, events, until } = await startEcs('', { resources: template({ Memory: 256, MemoryReservation: 128 }) })
  const { taskArn } = await runOne(client, {
    overrides: { containerOverrides: [{ name: 'agent', environment: [{ name: 'TICKET', value: 't1' }] }] },
  })
  expect(await until(() => stopped(events, taskArn))).toMatchObject({
    overrides: { containerOverrides: [{ name: 'agent', environment: [{ name: 'TICKET', value: 't1' }] }] },
    containers: [{ memory: '256', memoryReservation: '128' }],
  })
})
