/** When a schedule runs: its next time after a moment, in epoch milliseconds; undefined when there is none any more. */
export type Schedule = (after: number) => number | undefined

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const UNITS: Readonly<Record<string, number>> = { minute: MINUTE, hour: HOUR, day: DAY }
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

/**
 * Compiles `rate(5 minutes)`, `cron(0/15 * * * ? *)` or, of EventBridge Scheduler, `at(2030-01-01T00:00:00)`; all in UTC.
 * A rate counts from `startedAt`. Throws for anything else.
 *
 * Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
 */
export function compileSchedule(expression: string, startedAt: number): Schedule {
  const [, kind, body = ''] = /^\s*(rate|cron|at)\((.*)\)\s*$/.exec(expression) ?? []
  const invalid = () => new Error(`Parameter ScheduleExpression is not valid: ${expression}`)
  switch (kind) {
    case 'rate': {
      const [, amount = '', unit = '', plural = ''] = /^([1-9]\d*) (minute|hour|day)(s?)$/.exec(body) ?? []
      const period = Number(amount) * (UNITS[unit] ?? 0)
      // A rate of one takes the singular, others the plural.
      if (period === 0 || (amount === '1') === (plural === 's')) throw invalid()
      return (after) => startedAt + (Math.floor((after - startedAt) / period) + 1) * period
    }
    case 'at': {
      const at = Date.parse(`${body}Z`)
      if (Number.isNaN(at)) throw invalid()
      return (after) => (after < at ? at : undefined)
    }
    case 'cron':
      return compileCron(body, invalid)
    default:
      throw invalid()
  }
}

function compileCron(body: string, invalid: () => Error): Schedule {
  const fields = body.trim().split(/\s+/)
  const [minutes = '', hours = '', dayOfMonth = '', months = '', dayOfWeek = '', years = ''] = fields
  // Exactly one of the two day fields says nothing.
  if (fields.length !== 6 || (dayOfMonth === '?') === (dayOfWeek === '?')) throw invalid()
  const parse = (field: string, least: number, most: number, names: readonly string[] = []) =>
    parseField(field, least, most, names, invalid)
  const minute = parse(minutes, 0, 59)
  const hour = parse(hours, 0, 23)
  const month = parse(months, 1, 12, MONTHS)
  const year = parse(years, 1970, 2199)
  const day = dayOfMonth === '?' ? weekdayTest(dayOfWeek, parse, invalid) : monthdayTest(dayOfMonth, parse, invalid)

  return (after) => {
    const date = new Date(Math.floor(after / MINUTE) * MINUTE + MINUTE)
    while (date.getUTCFullYear() <= 2199) {
      if (!year.has(date.getUTCFullYear())) date.setTime(Date.UTC(date.getUTCFullYear() + 1, 0))
      else if (!month.has(date.getUTCMonth() + 1)) date.setTime(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1))
      else if (!day(date)) date.setTime(Math.floor(date.getTime() / DAY) * DAY + DAY)
      else if (!hour.has(date.getUTCHours())) date.setTime(Math.floor(date.getTime() / HOUR) * HOUR + HOUR)
      else if (!minute.has(date.getUTCMinutes())) date.setTime(date.getTime() + MINUTE)
      else return date.getTime()
    }
    return undefined
  }
}

type ParseField = (field: string, least: number, most: number, names?: readonly string[]) => Set<number>

/** `*`, values, ranges (which may wrap round), steps and lists of these. */
function parseField(
  field: string,
  least: number,
  most: number,
  names: readonly string[],
  invalid: () => Error,
): Set<number> {
  const values = new Set<number>()
  const number = (text: string) => {
    const named = names.indexOf(text.toUpperCase())
    const value = named >= 0 ? named + 1 : /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= least && value <= most)) throw invalid()
    return value
  }
  for (const part of field.split(',')) {
    const [range = '', step] = part.split('/')
    if (step !== undefined && !/^[1-9]\d*$/.test(step)) throw invalid()
    const [first = '', last] = range.split('-')
    const from = first === '*' ? least : number(first)
    const open = first === '*' || (step !== undefined && last === undefined)
    const to = last !== undefined ? number(last) : open ? most : from
    const span = to >= from ? to - from : to - from + (most - least + 1)
    for (let offset = 0; offset <= span; offset += Number(step ?? 1)) {
      const value = from + offset
      values.add(value > most ? value - (most - least + 1) : value)
    }
  }
  return values
}

function lastDayOf(date: Date): number {
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
}

/** Day-of-month: `L` is the last day, `15W` the weekday nearest to the 15th within the month. */
function monthdayTest(field: string, parse: ParseField, invalid: () => Error): (date: Date) => boolean {
  if (field === 'L') return (date) => date.getUTCDate() === lastDayOf(date)
  const nearest = /^(\d+|L)W$/.exec(field)?.[1]
  if (nearest === undefined) {
    const days = parse(field, 1, 31)
    return (date) => days.has(date.getUTCDate())
  }
  if (nearest !== 'L' && (Number(nearest) < 1 || Number(nearest) > 31)) throw invalid()
  return (date) => {
    const last = lastDayOf(date)
    const wanted = nearest === 'L' ? last : Number(nearest)
    if (wanted > last) return false
    const weekday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), wanted)).getUTCDay()
    let shift = weekday === 6 ? -1 : weekday === 0 ? 1 : 0
    if (wanted + shift < 1) shift = 2
    if (wanted + shift > last) shift = -2
    return date.getUTCDate() === wanted + shift
  }
}

/** Day-of-week, 1 to 7 from Sunday: `6L` is the month's last Friday, `3#2` its second Tuesday. */
function weekdayTest(field: string, parse: ParseField, invalid: () => Error): (date: Date) => boolean {
  const [, name = '', mark, count] = /^([^#L]+)(L|#([1-5]))$/i.exec(field) ?? []
  if (mark === undefined) {
    if (field.toUpperCase() === 'L') return (date) => date.getUTCDay() === 6
    if (field.includes('#')) throw invalid()
    const days = parse(field, 1, 7, DAYS)
    return (date) => days.has(date.getUTCDay() + 1)
  }
  const days = parse(name, 1, 7, DAYS)
  return (date) => {
    if (!days.has(date.getUTCDay() + 1)) return false
    return count === undefined
      ? date.getUTCDate() + 7 > lastDayOf(date)
      : Math.ceil(date.getUTCDate() / 7) === Number(count)
  }
}
