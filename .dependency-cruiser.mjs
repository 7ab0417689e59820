/**
 * Imports point one way: domain ← adapters ← runtime ← functions; contracts are pure data that everybody may read; infra, the images and
 * the one-machine runtime see contracts only. See docs/architecture.md.
 */

/** @param {string} name @param {string} comment @param {object} from @param {object} to */
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to })
/** Files of our own that a part must not import: everything but `allowed`. */
const ownExcept = (...allowed) => ({
  path: '^(infra|functions|shared|container-images|local|ops|scripts|test)/',
  pathNot: allowed.map((folder) => `^${folder}/`),
})

const AWS = '(^|/)node_modules/(@aws-sdk|@smithy|@aws-lambda-powertools|@middy|aws-cdk-lib|aws-lambda)(/|$)'
const MANAGEMENT_API = '(^|/)node_modules/@aws-sdk/client-apigatewaymanagementapi/'

export default {
  forbidden: [
    forbid('no-cycles', 'A cycle makes two modules one.', {}, { circular: true }),
    forbid(
      'unresolvable',
      'The import names nothing. `cloudfront` is a module of CloudFront Functions.',
      {},
      { couldNotResolve: true, pathNot: '^cloudfront$' },
    ),
    forbid(
      'contracts-are-pure',
      'Contracts are data and zod, checks of addresses among them: infra loads them at synth time.',
      { path: '^shared/contracts/' },
      { pathNot: ['^shared/contracts/', '(^|/)node_modules/(zod|ipaddr\\.js)/'] },
    ),
    forbid(
      'domain-knows-no-aws',
      'The domain speaks of environments and links; AWS stands behind its ports.',
      { path: '^shared/domain/' },
      { path: AWS },
    ),
    forbid(
      'domain-is-the-core',
      'domain ← adapters ← runtime ← functions',
      { path: '^shared/domain/' },
      ownExcept('shared/domain', 'shared/contracts'),
    ),
    forbid(
      'adapters-know-the-domain',
      'domain ← adapters ← runtime ← functions',
      { path: '^shared/adapters/' },
      ownExcept('shared/adapters', 'shared/domain', 'shared/contracts'),
    ),
    forbid(
      'runtime-knows-the-adapters',
      'domain ← adapters ← runtime ← functions',
      { path: '^shared/runtime/' },
      ownExcept('shared'),
    ),
    forbid(
      'functions-wire',
      'Functions run in AWS: nothing of the local runtime, the CDK app or tests is there.',
      { path: '^functions/' },
      ownExcept('functions', 'shared'),
    ),
    forbid(
      'functions-stand-alone',
      'An entry file is a bundle; what two of them share belongs to shared/runtime.',
      { path: '^functions/(.+)' },
      { path: '^functions/', pathNot: '^functions/$1' },
    ),
    forbid(
      'infra-sees-contracts',
      'CDK code must not pull handlers or the domain into a synth.',
      { path: '^infra/' },
      ownExcept('infra', 'shared/contracts'),
    ),
    forbid(
      'images-see-contracts',
      'A container is hostile ground: it gets the link protocol and nothing else.',
      { path: '^container-images/[^/]+/src/', pathNot: '^container-images/preview-gateway/' },
      ownExcept('container-images', 'shared/contracts'),
    ),
    forbid(
      'gateway-sees-previews',
      "The preview gateway runs no one else's code: it checks the signatures that the control plane makes, with the same code.",
      { path: '^container-images/preview-gateway/src/' },
      ownExcept('container-images', 'shared/contracts', 'shared/domain/previews'),
    ),
    forbid(
      'images-stand-alone',
      'An image holds its own program and what is common to all of them.',
      { path: '^container-images/([^/]+)/' },
      { path: '^container-images/', pathNot: '^container-images/($1|common)/' },
    ),
    forbid(
      'local-sees-contracts',
      'The one-machine runtime runs what the template says; it has no door into the control plane.',
      { path: '^local/' },
      ownExcept('local', 'shared/contracts'),
    ),
    forbid(
      'ops-are-clients',
      "Operators' tools speak to what is deployed.",
      { path: '^ops/' },
      ownExcept('ops', 'shared/contracts'),
    ),
    forbid(
      'one-poster',
      'Only the delivery adapter posts to connections: cursors, order and resuming are its business alone.',
      { path: '^(shared|functions)/', pathNot: '^shared/adapters/websocket/connection-poster\\.ts$' },
      { path: MANAGEMENT_API },
    ),
    forbid(
      'production-imports-no-dev-packages',
      'A package that runs in AWS is a dependency.',
      { path: '^(shared|functions)/' },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '(^|/)node_modules/@types/' },
    ),
  ],
  required: [],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(cdk\\.out|\\.build|\\.local)/' },
    // What is used as a type only still binds two parts to each other.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
