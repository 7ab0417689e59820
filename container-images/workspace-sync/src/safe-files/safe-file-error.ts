/** Why a path-safe operation was not done; the same words as `FilesRefusalSchema`, and `exists`. */
export type SafeFileCode = 'invalid-path' | 'not-found' | 'not-a-file' | 'too-large' | 'no-space' | 'exists' | 'failed'

/** `message` is for a person and names no path outside the tree. */
export class SafeFileError extends Error {
  override readonly name = 'SafeFileError'
  readonly code: SafeFileCode

  constructor(code: SafeFileCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const CODES: Readonly<Record<string, readonly [SafeFileCode, string]>> = {
  ENOENT: ['not-found', 'There is no such file'],
  ENOTDIR: ['not-found', 'A part of the path is not a directory'],
  ELOOP: ['invalid-path', 'Symbolic links are not followed'],
  ENAMETOOLONG: ['invalid-path', 'The path is too long'],
  EISDIR: ['not-a-file', 'It is a directory'],
  ENXIO: ['not-a-file', 'It is not a plain file'],
  ENOSPC: ['no-space', 'There is no space left'],
  EDQUOT: ['no-space', 'There is no space left'],
  EFBIG: ['too-large', 'The file is too large'],
  EEXIST: ['exists', 'It exists already'],
  ENOTEMPTY: ['exists', 'The directory is not empty'],
  EACCES: ['failed', 'Its permissions do not allow it'],
  EPERM: ['failed', 'Its permissions do not allow it'],
  EROFS: ['failed', 'The file system cannot be written'],
}

/** The system's error in these words; an error that already is one stays. */
export function toSafeFileError(error: unknown): SafeFileError {
  if (error instanceof SafeFileError) return error
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const [kind, message] = CODES[code] ?? ['failed', `The file system refused it (${code || String(error)})`]
  return new SafeFileError(kind, message, { cause: error })
}

/** Whether the system said one of these. */
export const isErrno = (error: unknown, ...codes: readonly string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException).code ?? '')
