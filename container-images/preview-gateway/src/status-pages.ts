/** What a visitor sees instead of a preview that is not up. */
import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import type { Page } from './pages.ts'

/** Seconds between two loads of a page that waits for its preview, and of one that waits for somebody to mend it. */
const WAITING_SECONDS = 2
const FAILED_SECONDS = 15

const lines = (preview: PreviewDirectoryItem) => (preview.lastLines?.length ? { lines: preview.lastLines } : {})

export const startingPage = (preview: PreviewDirectoryItem): Page => ({
  status: 503,
  title: 'The preview is starting',
  text: preview.reason ?? 'This page shows it as soon as it is up.',
  reloadSeconds: WAITING_SECONDS,
  ...lines(preview),
})

export const wakingPage: Page = {
  status: 503,
  title: 'The preview is waking up',
  text: 'Nobody had visited it for a while, so it was stopped. This page shows it as soon as it is up again.',
  reloadSeconds: WAITING_SECONDS,
}

/** For requests that do not wake: an open page's own attempts to reconnect must not keep a preview running for ever. */
export const asleepPage: Page = {
  status: 503,
  title: 'The preview is asleep',
  text: 'Nobody had visited it for a while, so it was stopped. Open it again to start it.',
}

export const stoppedPage = (preview: PreviewDirectoryItem): Page => ({
  status: 503,
  title: 'The preview is stopped',
  text: preview.reason ?? 'It can be started again from Covibes.',
  ...lines(preview),
})

export const failedPage = (preview: PreviewDirectoryItem): Page => ({
  status: 502,
  title: 'The preview could not be started',
  text: preview.reason ?? 'Its log may say why.',
  reloadSeconds: FAILED_SECONDS,
  ...lines(preview),
})

const TITLES: Readonly<Record<NonNullable<PreviewDirectoryItem['phase']>, string>> = {
  mirroring: 'The preview is starting: its files are copied',
  installing: 'The preview is starting: its packages are installed',
  starting: 'The preview is starting: its server is on its way',
  failed: 'The preview could not be started',
}

export const notListeningPage = (preview: PreviewDirectoryItem): Page => ({
  status: 502,
  title: preview.phase ? TITLES[preview.phase] : 'The preview does not answer',
  text: preview.reason ?? 'Its server is still starting, or has just stopped. This page tries again by itself.',
  reloadSeconds: WAITING_SECONDS,
  ...lines(preview),
})

export const silentPage: Page = {
  status: 504,
  title: 'The preview takes too long',
  text: 'Its server has taken the request and not answered it.',
}
export const brokenPage: Page = {
  status: 502,
  title: 'The preview gave no usable answer',
  text: 'Its server closed the connection, or answered in a way that is not HTTP.',
}
export const internalRedirectPage = (host: string): Page => ({
  status: 502,
  title: 'The preview redirects to an internal address',
  text: `Its server sent the browser to ${host}, which only exists inside. A path would work.`,
})
export const busyPage: Page = {
  status: 503,
  title: 'The preview is busy',
  text: 'It has too many open requests. Try again in a moment.',
  reloadSeconds: WAITING_SECONDS,
}
export const unreachableDirectoryPage: Page = {
  status: 503,
  title: 'Previews cannot be reached at the moment',
  text: 'This page tries again by itself.',
  reloadSeconds: WAITING_SECONDS,
}
export const forbiddenPage = (why: string): Page => ({
  status: 403,
  title: 'This preview is for members of its team',
  text: `${why} Open the preview from Covibes: that lets this browser in.`,
})
