/** A Lambda error as its caller receives it. */
export interface ErrorPayload {
  readonly errorType: string
  readonly errorMessage: string
  readonly trace?: readonly string[] | undefined
}

/** What the thread of an execution environment is started with. */
export interface EnvironmentData {
  /** Absolute path of the unpacked bundle. */
  readonly directory: string
  /** As in the template: `index.handler`. */
  readonly handler: string
  readonly functionName: string
  readonly functionArn: string
  readonly memoryMb: number
  readonly logGroupName: string
  readonly logStreamName: string
  /**
   * One 32-bit cell: 0 keeps the environment frozen between invocations, as Lambda does; 1 lets it run. Undefined when
   * environments are not to be frozen.
   */
  readonly gate: Int32Array<SharedArrayBuffer> | undefined
}

/** Sent to the environment's thread: one invocation. The payload is JSON text, so that nothing is shared. */
export interface InvokeMessage {
  readonly requestId: string
  readonly payload: string
  /** Unix time in milliseconds at which the invocation is ended. */
  readonly deadlineMs: number
  readonly traceId: string
}

/** Sent by the environment's thread. */
export type EnvironmentMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'init-failed'; readonly error: ErrorPayload }
  | { readonly type: 'result'; readonly requestId: string; readonly payload: string }
  | { readonly type: 'error'; readonly requestId: string; readonly error: ErrorPayload; readonly exits: boolean }
  | { readonly type: 'log'; readonly text: string }
