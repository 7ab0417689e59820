/**
 * Bounds of every AWS call. Behind the API a request has 15 s (contracts/functions.ts); the SDK's own defaults wait for ever.
 * Three tries of at most 2 s each, with the SDK's back-off between them, leave room for the rest of the request.
 *
 * `throwOnRequestTimeout`: since 2025 the SDK's Node handler only warns on a request timeout unless told to throw.
 */
export const AWS_CLIENT_DEFAULTS = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true },
} as const
