import { expect, test } from 'vitest'
import { compileSchedule } from '../../../../local/eventbridge/schedule-expression.ts'

/** The first runs after a moment. */
function runs(expression: string, after: string, count = 3): string[] {
  const schedule = compileSchedule(expression, Date.parse(after))
  const times: string[] = []
  let at = Date.parse(after)
  while (times.length < count) {
    const next = schedule(at)
    if (next === undefined) break
    times.push(new Date(next).toISOString().slice(0, 16))
    at = next
  }
  return times
}

test('rates count from the start', () => {
  expect(runs('rate(1 minute)', '2024-01-01T00:00:30Z')).toEqual([
    '2024-01-01T00:01',
    '2024-01-01T00:02',
    '2024-01-01T00:03',
  ])
  const schedule = compileSchedule('rate(5 minutes)', 1_000)
  expect(schedule(1_000)).toBe(301_000)
  expect(schedule(300_999)).toBe(301_000)
  expect(schedule(301_000)).toBe(601_000)
  expect(runs('rate(7 days)', '2024-01-01T00:00:00Z', 1)).toEqual(['2024-01-08T00:00'])
})

// The examples of the user guide, after Wednesday, 10 January 2024, 12:20.
test.each([
  ['cron(0 10 * * ? *)', ['2024-01-11T10:00', '2024-01-12T10:00', '2024-01-13T10:00']],
  ['cron(15 12 * * ? *)', ['2024-01-11T12:15', '2024-01-12T12:15', '2024-01-13T12:15']],
  ['cron(0 18 ? * MON-FRI *)', ['2024-01-10T18:00', '2024-01-11T18:00', '2024-01-12T18:00', '2024-01-15T18:00']],
  ['cron(0 8 1 * ? *)', ['2024-02-01T08:00', '2024-03-01T08:00', '2024-04-01T08:00']],
  ['cron(0/15 * * * ? *)', ['2024-01-10T12:30', '2024-01-10T12:45', '2024-01-10T13:00']],
  ['cron(1/10 * * * ? *)', ['2024-01-10T12:21', '2024-01-10T12:31', '2024-01-10T12:41']],
  ['cron(0/10 * ? * MON-FRI *)', ['2024-01-10T12:30', '2024-01-10T12:40', '2024-01-10T12:50']],
  ['cron(0/5 8-17 ? * MON-FRI *)', ['2024-01-10T12:25', '2024-01-10T12:30', '2024-01-10T12:35']],
  ['cron(0/30 20-2 ? * MON-FRI *)', ['2024-01-10T20:00', '2024-01-10T20:30', '2024-01-10T21:00']],
  ['cron(5,35 14 * * ? *)', ['2024-01-10T14:05', '2024-01-10T14:35', '2024-01-11T14:05']],
  ['cron(15 10 ? * 6L 2019-2024)', ['2024-01-26T10:15', '2024-02-23T10:15', '2024-03-29T10:15']],
  ['cron(0 0 L * ? *)', ['2024-01-31T00:00', '2024-02-29T00:00', '2024-03-31T00:00']],
  ['cron(0 0 3W * ? *)', ['2024-02-02T00:00', '2024-03-04T00:00', '2024-04-03T00:00']],
  ['cron(0 0 ? * 3#2 *)', ['2024-02-13T00:00', '2024-03-12T00:00', '2024-04-09T00:00']],
  ['cron(0 0 29 FEB ? *)', ['2024-02-29T00:00', '2028-02-29T00:00', '2032-02-29T00:00']],
  ['cron(0 0 1 1 ? 2020)', []],
])('%s', (expression, times) => {
  expect(runs(expression, '2024-01-10T12:20:00Z', Math.max(3, times.length))).toEqual(times)
})

test('at runs once', () => {
  expect(runs('at(2030-05-01T13:00:00)', '2024-01-10T12:20:00Z')).toEqual(['2030-05-01T13:00'])
})

test.each([
  ...['rate(1 minutes)', 'rate(5 minute)', 'rate(0 minutes)', 'rate(30 seconds)', 'every minute', 'rate(5  minutes)'],
  ...['cron(0 10 * * * *)', 'cron(0 10 ? * ? *)', 'cron(0 10 * * ?)', 'cron(60 10 * * ? *)', 'cron(0 24 * * ? *)'],
  ...['cron(0 0 1 13 ? *)', 'cron(0 0 ? * 3#6 *)', 'cron(0/0 0 1 1 ? *)', 'at(tomorrow)'],
])('%s is refused', (expression) => {
  expect(() => compileSchedule(expression, 0)).toThrow(`Parameter ScheduleExpression is not valid: ${expression}`)
})
