/**
 * The texts with which ECS tells why a task stopped, or was not started.
 * Sources: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html,
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html,
 * https://repost.aws/knowledge-center/fargate-spot-termination-notice; see docs/aws-fidelity/events-and-tasks.md for
 * those that are unverified.
 */
export const REASONS = {
  essentialExited: 'Essential container in task exited',
  stoppedByUser: 'Task stopped by user',
  spotInterrupted: 'Your Spot Task was interrupted.',
  outOfMemory: 'OutOfMemoryError: Container killed due to memory usage',
  capacity: 'Capacity is unavailable at this time. Please try again later or in a different availability zone',
  vcpuLimit: 'You’ve reached the limit on the number of vCPUs you can run concurrently',
  missing: 'MISSING',
  cannotPull: (image: string) =>
    `CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref ${image}: ${image}: not found`,
  cannotStart: (cause: string) => `CannotStartContainerError: ResourceInitializationError: ${cause}`,
  secretUnavailable: (cause: string) =>
    `ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: ${cause}`,
  volumeUnavailable: (cause: string) =>
    `ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: ${cause}`,
  runtimeRestarted: 'The one-machine runtime was restarted; its tasks ended with it',
} as const
