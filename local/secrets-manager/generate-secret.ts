import { randomInt } from 'node:crypto'

/** `GenerateSecretString` of a template's secret. */
export interface GenerateSecretString {
  readonly PasswordLength?: number
  readonly ExcludeCharacters?: string
  readonly ExcludeLowercase?: boolean
  readonly ExcludeNumbers?: boolean
  readonly ExcludePunctuation?: boolean
  readonly ExcludeUppercase?: boolean
  readonly IncludeSpace?: boolean
  readonly RequireEachIncludedType?: boolean
  /** A JSON object to which the password is added under `GenerateStringKey`. */
  readonly SecretStringTemplate?: string
  readonly GenerateStringKey?: string
}

/** Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html */
const PUNCTUATION = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'
const DEFAULT_LENGTH = 32

/** Makes the secret string that CloudFormation would make. Throws when the settings leave no characters to choose from. */
export function generateSecretString(settings: GenerateSecretString): string {
  const password = generatePassword(settings)
  if (settings.SecretStringTemplate === undefined || settings.GenerateStringKey === undefined) return password
  const template = JSON.parse(settings.SecretStringTemplate) as Record<string, unknown>
  return JSON.stringify({ ...template, [settings.GenerateStringKey]: password })
}

function generatePassword(settings: GenerateSecretString): string {
  const excluded = new Set(settings.ExcludeCharacters ?? '')
  const kinds = [
    settings.ExcludeLowercase ? '' : 'abcdefghijklmnopqrstuvwxyz',
    settings.ExcludeUppercase ? '' : 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
    settings.ExcludeNumbers ? '' : '0123456789',
    settings.ExcludePunctuation ? '' : PUNCTUATION,
    settings.IncludeSpace ? ' ' : '',
  ]
    .map((kind) => [...kind].filter((character) => !excluded.has(character)))
    .filter((kind) => kind.length > 0)
  const all = kinds.flat()
  if (all.length === 0) throw new Error('GenerateSecretString excludes every character')
  const length = settings.PasswordLength ?? DEFAULT_LENGTH
  const each = (settings.RequireEachIncludedType ?? true) ? kinds.slice(0, length).map(pick) : []
  const characters = [...each, ...Array.from({ length: length - each.length }, () => pick(all))]
  for (let last = characters.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1)
    ;[characters[last], characters[other]] = [characters[other] as string, characters[last] as string]
  }
  return characters.join('')
}

function pick(characters: readonly string[]): string {
  return characters[randomInt(characters.length)] as string
}
