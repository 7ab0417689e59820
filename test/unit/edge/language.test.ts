import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { edgeSource } from './support.ts'

/**
 * The syntax of cloudfront-js-2.0 that our functions may use: ECMAScript 5.1 with const, let, arrow functions, template literals and the
 * one import ("JavaScript runtime 2.0 features for CloudFront Functions"). What that page does not name, such as destructuring,
 * spread, classes, `for…of` or `?.`, would fail only when it is published.
 */
const ALLOWED = new Set(
  [
    'SourceFile EndOfFileToken EndOfFile Identifier ImportDeclaration ImportClause StringLiteral NumericLiteral RegularExpressionLiteral FirstLiteralToken',
    'FunctionDeclaration ArrowFunction EqualsGreaterThanToken Parameter Block ReturnStatement IfStatement ExpressionStatement',
    'VariableStatement FirstStatement VariableDeclarationList VariableDeclaration BinaryExpression PrefixUnaryExpression',
    'ParenthesizedExpression ConditionalExpression PropertyAccessExpression ElementAccessExpression CallExpression',
    'ArrayLiteralExpression ObjectLiteralExpression PropertyAssignment TrueKeyword FalseKeyword NullKeyword',
    'EqualsToken FirstAssignment EqualsEqualsEqualsToken ExclamationEqualsEqualsToken BarBarToken AmpersandAmpersandToken',
    'PlusToken MinusToken LessThanToken FirstBinaryOperator GreaterThanToken JSDoc FirstJSDocNode',
  ].flatMap((line) => line.split(' ')),
)
/** "Maximum size of a function" in CloudFront's quotas. */
const MAX_BYTES = 10 * 1024

function unknownSyntax(source: string): string[] {
  const file = ts.createSourceFile('function.js', source, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const kind = ts.SyntaxKind[node.kind]
    const optional = ts.isOptionalChain(node) ? '?.' : ''
    const spread =
      ts.isParameter(node) && (node.initializer || !ts.isIdentifier(node.name)) ? ' with a default or pattern' : ''
    if (!ALLOWED.has(kind) || optional || spread)
      found.push(`${kind}${optional}${spread}: ${node.getText(file).slice(0, 60)}`)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

describe.each(readdirSync(join(import.meta.dirname, '..', '..', '..', 'infra', 'edge')))('%s', (file) => {
  it('keeps to the language of the runtime', () => {
    expect(unknownSyntax(edgeSource(file))).toEqual([])
  })

  it('fits', () => {
    expect(Buffer.byteLength(edgeSource(file))).toBeLessThan(MAX_BYTES)
  })

  it('has no placeholder that nobody fills', () => {
    expect(edgeSource(file)).not.toContain('{{')
  })
})

it.each([
  'const { a } = b',
  'const a = b?.c',
  'const a = b ?? c',
  'const a = [...b]',
  'for (const a of b) c()',
  'class A {}',
  'function a(b = 1) {}',
])('%s is not of that language', (source) => {
  expect(unknownSyntax(source)).not.toEqual([])
})
