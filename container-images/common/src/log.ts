/** Fields of a log line. Never terminal bytes, tasks, tickets or keys. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>
export type Log = (level: 'INFO' | 'WARN' | 'ERROR', message: string, fields?: LogFields) => void

/** One JSON object a line on standard output, where ECS's log driver reads; `message` is static, the rest is in fields. */
export function jsonLog(common: LogFields, write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  return (level, message, fields) =>
    write(`${JSON.stringify({ level, message, timestamp: new Date().toISOString(), ...common, ...fields })}\n`)
}
