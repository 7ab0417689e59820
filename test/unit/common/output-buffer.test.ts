import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ImpossibleOffset, OutputBuffer } from '../../../container-images/common/src/output-buffer.ts'

const UNITS = fc.constantFrom('a', 'é', '…', '🙂', '\u001b', '"', '\n')

describe('the output buffer', () => {
  it('gives back exactly what was pushed, in chunks within the encoded size, however it was cut', () => {
    fc.assert(
      fc.property(
        fc.array(UNITS, { maxLength: 200 }).map((units) => units.join('')),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 10, max: 60 }),
        (text, cuts, maxEncoded) => {
          const buffer = new OutputBuffer()
          const bytes = Buffer.from(text)
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = cuts[i % cuts.length] ?? 1
            buffer.push(bytes.subarray(at, at + size))
            at += size
          }
          buffer.finish()
          let read = ''
          for (let chunk = buffer.firstChunk(maxEncoded); chunk; chunk = buffer.firstChunk(maxEncoded)) {
            expect(chunk.offset).toBe(Buffer.byteLength(read))
            expect(Buffer.byteLength(JSON.stringify(chunk.data))).toBeLessThanOrEqual(maxEncoded)
            read += chunk.data
            expect(chunk.end).toBe(Buffer.byteLength(read))
            buffer.acknowledge(chunk.end)
          }
          expect(read).toBe(text)
          expect(buffer.pending).toBe(0)
        },
      ),
    )
  })

  it('fills chunks: what is left over would not have fitted', () => {
    const buffer = new OutputBuffer()
    buffer.push(Buffer.from('\u001b'.repeat(100)))
    expect(buffer.firstChunk(2 + 6 * 7 + 5)?.data).toBe('\u001b'.repeat(7))
  })

  it('keeps what is not acknowledged, and ignores what was acknowledged before', () => {
    const buffer = new OutputBuffer()
    buffer.push(Buffer.from('abcdef'))
    buffer.acknowledge(4)
    buffer.acknowledge(2)
    expect(buffer.firstChunk()).toEqual({ offset: 4, end: 6, data: 'ef' })
  })

  it('refuses an acknowledgement that cannot be, and stays as it was', () => {
    const buffer = new OutputBuffer()
    buffer.push(Buffer.from('aé'))
    expect(() => buffer.acknowledge(4)).toThrow(ImpossibleOffset)
    expect(() => buffer.acknowledge(2)).toThrow('inside a character')
    expect(buffer.firstChunk()?.data).toBe('aé')
  })

  it('replaces invalid bytes and an incomplete end', () => {
    const buffer = new OutputBuffer()
    buffer.push(Buffer.from([0x61, 0xff, 0xe2, 0x80]))
    expect(buffer.end).toBe(4)
    buffer.finish()
    expect(buffer.firstChunk()?.data).toBe('a\uFFFD\uFFFD')
  })

  it('starts where it is told, once', () => {
    const buffer = new OutputBuffer()
    buffer.startAt(1000)
    buffer.push(Buffer.from('x'))
    expect(buffer.firstChunk()).toMatchObject({ offset: 1000, end: 1001 })
    expect(() => buffer.startAt(5)).toThrow()
  })

  it('says when to stop and when to go on, and keeps to its limit', () => {
    const buffer = new OutputBuffer(1000, 200)
    buffer.push(Buffer.alloc(799, 'x'))
    expect(buffer.full).toBe(false)
    buffer.push(Buffer.alloc(1, 'x'))
    expect(buffer.full).toBe(true)
    buffer.acknowledge(399)
    expect(buffer.roomy).toBe(false)
    buffer.acknowledge(400)
    expect(buffer.roomy).toBe(true)
    expect(buffer.peak).toBe(800)
  })
})
