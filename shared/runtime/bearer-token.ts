/** A JWT of the existing server is some 200 characters; a longer header than this is nobody's. */
const MAX_TOKEN_CHARS = 8192

/** The token of an `Authorization: Bearer …` header, or undefined when it is not one. */
export function bearerToken(header: string | undefined): string | undefined {
  const token = /^bearer +([^\s]+) *$/i.exec(header ?? '')?.[1]
  return token !== undefined && token.length <= MAX_TOKEN_CHARS ? token : undefined
}
