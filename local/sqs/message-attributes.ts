import { createHash } from 'node:crypto'
import { refuse } from './errors.ts'

/** A message attribute as SendMessage takes it and ReceiveMessage gives it; binary values are base64 on the wire. */
export interface MessageAttribute {
  /** `String`, `Number` or `Binary`, optionally with a label: `Number.int`. */
  readonly DataType: string
  readonly StringValue?: string
  readonly BinaryValue?: string
}

/** Attributes by name. */
export type MessageAttributes = Readonly<Record<string, MessageAttribute>>

/** A message has at most this many attributes. Source: SQS message quotas. */
const MAX_ATTRIBUTES = 10

function invalid(message: string): never {
  refuse('InvalidParameterValue', message)
}

/** Throws InvalidParameterValue for attributes that SQS refuses. */
export function validateAttributes(attributes: MessageAttributes): void {
  const names = Object.keys(attributes)
  if (names.length > MAX_ATTRIBUTES)
    invalid(`Number of message attributes [${names.length}] exceeds the allowed maximum [${MAX_ATTRIBUTES}].`)
  for (const name of names) {
    const attribute = attributes[name]
    if (!attribute) continue
    if (!/^(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)$/.test(name) || /^(aws|amazon)\./i.test(name))
      invalid(`Message (user) attribute name '${name}' is not allowed.`)
    const { DataType, StringValue, BinaryValue } = attribute
    if (!/^(String|Number|Binary)(\..+)?$/.test(DataType ?? '') || DataType.length > 256)
      invalid(
        `The type of message (user) attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
      )
    const value = DataType.startsWith('Binary') ? BinaryValue : StringValue
    if (value === undefined || value === '')
      invalid(`Message (user) attribute '${name}' must contain a non-empty value of type '${DataType}'.`)
    if (DataType.startsWith('Number') && !Number.isFinite(Number(StringValue)))
      invalid(`Can't cast the value of message (user) attribute '${name}' to a number.`)
  }
}

function valueBytes({ DataType, StringValue = '', BinaryValue = '' }: MessageAttribute): Buffer {
  return DataType.startsWith('Binary') ? Buffer.from(BinaryValue, 'base64') : Buffer.from(StringValue)
}

/** Bytes that a message counts for: its body and its attributes' names, types and values. */
export function messageSize(body: string, attributes: MessageAttributes): number {
  let size = Buffer.byteLength(body)
  for (const [name, attribute] of Object.entries(attributes))
    size += Buffer.byteLength(name) + Buffer.byteLength(attribute.DataType) + valueBytes(attribute).length
  return size
}

/** MD5 in hexadecimal, as SQS gives it for bodies. */
export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}

/**
 * MD5 over attributes sorted by name, each as name, type, kind byte and value with their lengths in front; undefined
 * without attributes. Source:
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation
 */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).sort()
  if (names.length === 0) return undefined
  const hash = createHash('md5')
  const withLength = (bytes: Buffer) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  for (const name of names) {
    const attribute = attributes[name] as MessageAttribute
    withLength(Buffer.from(name))
    withLength(Buffer.from(attribute.DataType))
    hash.update(Buffer.from([attribute.DataType.startsWith('Binary') ? 2 : 1]))
    withLength(valueBytes(attribute))
  }
  return hash.digest('hex')
}
