/** Why a request got no answer of the existing server that could be passed on. */
export type ForwardingFailure = 'not-configured' | 'not-foreign' | 'unreachable' | 'timeout' | 'too-large' | 'aborted'

const MESSAGES: Readonly<Record<ForwardingFailure, string>> = {
  'not-configured': 'There is no such route here, and no Covibes server behind it is configured',
  'not-foreign': 'There is no such route; the path is written in another way than a route of this API',
  unreachable: 'The Covibes server cannot be reached; try again in a moment',
  timeout: 'The Covibes server did not answer in time; try again in a moment',
  'too-large': 'The answer of the Covibes server is larger than can be passed on',
  aborted: 'The request to the Covibes server was given up',
}

/** The message is for the client; what happened underneath is the `cause`, for the log. */
export class ForwardingFailed extends Error {
  override readonly name = 'ForwardingFailed'
  readonly failure: ForwardingFailure

  constructor(failure: ForwardingFailure, options?: ErrorOptions) {
    super(MESSAGES[failure], options)
    this.failure = failure
  }
}
