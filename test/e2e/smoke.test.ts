/** The rows that a deployed stage is held to, held against the one-machine runtime. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { smoke } from '../../ops/smoke-aws.ts'
import { type Product, startProduct } from '../support/product.ts'

let product: Product
beforeAll(async () => {
  product = await startProduct()
})
afterAll(() => product.close())

it('local behaves as a deployed stage must', { timeout: 120_000 }, async () => {
  const { token } = await product.member()
  expect(await smoke({ url: product.url, socketUrl: product.runtime.linkUrl, token }, () => undefined)).toEqual([])
})
