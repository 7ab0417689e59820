/** Fields of a log line. Never paths, queries, headers, tickets or cookies: any of them may hold a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>
export type Log = (level: 'INFO' | 'WARN' | 'ERROR', message: string, fields?: LogFields) => void

/** One JSON object a line on standard output, where ECS's log driver reads; `message` is static, the rest is in fields. */
export const jsonLog: Log = (level, message, fields) =>
  void process.stdout.write(
    `${JSON.stringify({ level, message, timestamp: new Date().toISOString(), service: 'preview-gateway', ...fields })}\n`,
  )
