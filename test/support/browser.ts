/** Chromium, as the machine has it: `CHROMIUM` or the usual name and place. */
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** @throws when there is none: what only a browser shows is not left out. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? PLACES.find((place) => existsSync(place))
  if (executablePath === undefined) throw new Error('These tests need Chromium: CHROMIUM says where it is')
  return chromium.launch({ executablePath, args: ['--no-sandbox'] })
}
