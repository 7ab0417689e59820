/** A directory as one compressed tar file and back, streamed, with bounds on both sides. */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'

/** What is in the file, or would be, is more than may be, or is no archive: it is of no use to anybody. */
export class ArchiveUnusable extends Error {
  override readonly name = 'ArchiveUnusable'
}

/** The lowest there is: what is kept for the next start must not slow down this one. */
const NICE = 19
/** The fastest: packages come compressed, or compress well enough at once. */
const GZIP_LEVEL = 1
/** Characters of tar's complaints that are told. */
const COMPLAINT = 300

/**
 * Writes `directory` to a new file, without `leftOut` (paths below it), and answers the file's bytes. Rejects when a file changes while it
 * is read: what was written then is no archive. The caller removes it. `maxBytes` is of the tar stream. @throws ArchiveUnusable
 */
export async function pack(
  directory: string,
  file: string,
  leftOut: readonly string[],
  maxBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const handle = await open(file, 'wx', 0o600)
  const excluded = leftOut.map((name) => `--exclude=./${name}`)
  const tar = startTar(['-c', '-f', '-', ...excluded, '-C', directory, '.'], signal)
  if (tar.child.pid !== undefined) setPriority(tar.child.pid, NICE)
  const written = counted(maxBytes)
  await all(
    pipeline(
      tar.output,
      counted(maxBytes).stream,
      createGzip({ level: GZIP_LEVEL }),
      written.stream,
      // Closes the handle: NFS tells what it could not write when the file is closed.
      handle.createWriteStream(),
      { signal },
    ),
    tar,
  )
  return written.bytes()
}

/**
 * Writes what is in `file` below `directory`, which is there and empty, and answers the bytes of the tar stream: at most `maxBytes`, headers
 * included, which are 512 an entry, so that it bounds their number as well. Undefined: there is no such file. Rejects at the first thing
 * that is wrong; what was written by then stays. The file is somebody else's input: it may be anything. @throws ArchiveUnusable
 */
export async function unpack(
  file: string,
  directory: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  // A link is not followed, and a pipe does not wait for who writes to it.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const handle = await open(file, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error.code === 'ELOOP' || error.code === 'ENXIO' ? new ArchiveUnusable('it is no file') : error
  })
  if (!handle) return undefined
  try {
    const about = await handle.stat()
    if (!about.isFile()) throw new ArchiveUnusable('it is no file')
    if (about.size > maxBytes) throw tooLarge(maxBytes)
  } catch (error) {
    await handle.close()
    throw error
  }
  const tar = startTar(['-x', '-f', '-', '-C', directory], signal)
  const read = counted(maxBytes)
  try {
    const stream = pipeline(handle.createReadStream(), createGunzip(), read.stream, tar.input, { signal })
    // tar reads no further than the archive's end, or than what it complains of: its exit code says which.
    await all(stream.catch(unlessReaderLeft), tar)
  } catch (error) {
    throw isZlibError(error) ? new ArchiveUnusable(`it is no gzip file: ${error.message}`) : error
  }
  return read.bytes()
}

const isReaderLeft = (error: unknown): boolean =>
  ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(String((error as NodeJS.ErrnoException).code))

function unlessReaderLeft(error: unknown): void {
  if (!isReaderLeft(error)) throw error
}

const tooLarge = (limit: number) => new ArchiveUnusable(`it is larger than ${limit} bytes`)

const isZlibError = (error: unknown): error is Error =>
  error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('Z_')

type Tar = {
  readonly child: ChildProcess
  readonly input: NodeJS.WritableStream
  readonly output: NodeJS.ReadableStream
  /** Resolves when it has ended with 0. */
  readonly ended: Promise<void>
}

function startTar(args: readonly string[], signal: AbortSignal): Tar {
  const child = spawn('tar', args, {
    // No TAR_OPTIONS.
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  })
  let complaint = ''
  child.stderr.on('data', (bytes: Buffer) => {
    if (complaint.length < COMPLAINT) complaint += bytes.toString()
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, killedBy) => {
      if (code === 0) resolve()
      else reject(new ArchiveUnusable(`tar ended with ${killedBy ?? code}: ${complaint.trim().slice(0, COMPLAINT)}`))
    })
  })
  return { child, input: child.stdin, output: child.stdout, ended }
}

/** When both have ended; the cause is thrown and not what followed from it, and tar does not outlive a broken stream. */
async function all(stream: Promise<void>, { child, ended }: Tar): Promise<void> {
  const guarded = stream.catch((error: unknown) => {
    // tar that ends early leaves a broken pipe behind: what it says is the reason.
    if (!isReaderLeft(error)) child.kill('SIGKILL')
    throw error
  })
  const [streamed, tar] = await Promise.allSettled([guarded, ended])
  const isSequel = streamed.status === 'rejected' && isReaderLeft(streamed.reason) && tar.status === 'rejected'
  if (streamed.status === 'rejected' && !isSequel) throw streamed.reason
  if (tar.status === 'rejected') throw tar.reason
}

function counted(limit: number): { readonly stream: Transform; bytes(): number } {
  let bytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > limit) done(tooLarge(limit))
      else done(null, chunk)
    },
  })
  return { stream, bytes: () => bytes }
}
