import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { Agent } from '../../../container-images/agent/src/agent.ts'
import { floodText } from '../../../container-images/agent/src/mock-shell.ts'
import { OUTPUT_LIMIT_BYTES } from '../../../container-images/common/src/output-buffer.ts'
import { FakeControlPlane, type OutputFate } from '../common/fake-control-plane.ts'
import { command, makeDirectory, makeSettings, onTerminal, removeDirectories, startAgent } from './agent-fixture.ts'

afterEach(removeDirectories)

const fates: fc.Arbitrary<OutputFate> = fc.oneof(
  { weight: 3, arbitrary: fc.constant('store' as const) },
  { weight: 1, arbitrary: fc.constantFrom('lose' as const, 'loseAck' as const) },
  { weight: 3, arbitrary: fc.constantFrom('cutBefore' as const, 'cutAfter' as const) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 30 }).map((ackAfterMs) => ({ ackAfterMs })) },
)

/** Text with characters of one to four bytes and control characters, a few bytes to some 100 KB. */
const texts = fc
  .tuple(
    fc.array(fc.constantFrom('a', 'é', '…', '🙂', '\u001b[31m', '"', '\n', '\\', '\u0007'), {
      minLength: 1,
      maxLength: 60,
    }),
    fc.integer({ min: 1, max: 1500 }),
  )
  .map(([pieces, times]) => pieces.join('').repeat(times))

function peakOf(agent: Agent): number {
  return (agent.status() as { terminal: { bytesPendingPeak: number } }).terminal.bytesPendingPeak
}

describe('delivery of terminal output', () => {
  it('loses, doubles and disorders nothing, however the link fails', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.array(fates, { minLength: 1, maxLength: 25 }), async (text, schedule) => {
        const plane = await FakeControlPlane.start({ output: (_, count) => schedule[count] ?? 'store' })
        const file = path.join(await makeDirectory(), 'text')
        await writeFile(file, text)
        const { code } = await startAgent(plane.url, { command: command('/bin/cat', file) })
        expect(await code).toBe(0)
        expect(plane.text).toBe(onTerminal(text))
        expect(plane.violations).toEqual([])
        expect(plane.exit).toMatchObject({ exitCode: 0 })
        await plane.close()
      }),
      { numRuns: 40 },
    )
  }, 120_000)

  it('pauses the program when too much is unacknowledged, and goes on when there is room', async () => {
    const plane = await FakeControlPlane.start({ output: (_, count) => (count === 0 ? 'loseAck' : 'store') })
    const text = [...floodText(5_000_000)].join('')
    const file = path.join(await makeDirectory(), 'text')
    await writeFile(file, text)
    const { agent, code } = await startAgent(plane.url, {
      command: command('/bin/cat', file),
      timings: { ackMs: 1_000 },
    })
    expect(await code).toBe(0)
    expect(plane.text === onTerminal(text)).toBe(true)
    expect(peakOf(agent)).toBeLessThanOrEqual(OUTPUT_LIMIT_BYTES)
    // The pause was needed: without one, all five megabytes would have been held.
    expect(peakOf(agent)).toBeGreaterThan(OUTPUT_LIMIT_BYTES * 0.8)
    await plane.close()
  }, 60_000)

  it.each([1, 4_000, 8_000])('loses nothing of a program that ends %i bytes into a pause', async (more) => {
    // Few enough for the kernel to hold them, so that the program can end.
    // Nothing is acknowledged before the program has ended, so the terminal stays paused until then.
    const logged: string[] = []
    const hasEnded = () => logged.some((line) => line.includes('The agent has ended'))
    const plane = await FakeControlPlane.start({ output: () => (hasEnded() ? 'store' : 'loseAck') })
    const text = 'x'.repeat(OUTPUT_LIMIT_BYTES - 512 * 1024 + more)
    const file = path.join(await makeDirectory(), 'text')
    await writeFile(file, text)
    const { agent, code } = await startAgent(plane.url, {
      log: (_, message) => logged.push(message),
      command: command('/bin/cat', file),
      timings: { ackMs: 1_000 },
    })
    expect(await code).toBe(0)
    expect(plane.text.length).toBe(text.length)
    expect(peakOf(agent)).toBeGreaterThanOrEqual(text.length - 28 * 1024)
    expect(peakOf(agent)).toBeLessThanOrEqual(OUTPUT_LIMIT_BYTES)
    await plane.close()
  })

  it('carries on where the log of the generation ends', async () => {
    const plane = await FakeControlPlane.start({ welcome: { acknowledged: 1000 } })
    const { code } = await startAgent(plane.url, { command: command('/bin/echo', 'hello') })
    expect(await code).toBe(0)
    expect(plane.text).toBe('hello\r\n')
    expect(plane.violations).toEqual([])
    await plane.close()
  })

  it('replaces invalid bytes and counts what it sends', async () => {
    const plane = await FakeControlPlane.start()
    const { code } = await startAgent(plane.url, { command: command('/usr/bin/printf', '\\377a\\303') })
    expect(await code).toBe(0)
    expect(plane.text).toBe('\uFFFDa\uFFFD')
    await plane.close()
  })

  it('lets a small output leave at once', async () => {
    const plane = await FakeControlPlane.start()
    const { code } = await startAgent(plane.url, {
      settings: await makeSettings(plane.url),
      command: command('/bin/sh', '-c', 'echo one; read line; echo two'),
    })
    await plane.until(() => plane.text === 'one\r\n')
    plane.type('\r')
    expect(await code).toBe(0)
    expect(plane.text).toBe('one\r\n\r\ntwo\r\n')
    await plane.close()
  })
})
