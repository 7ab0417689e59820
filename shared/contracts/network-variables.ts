/** By what programs of a machine reach the network beyond it: a company's certificates, proxies, package registries. All others stay behind. */
export const NETWORK_VARIABLES = [
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'NPM_CONFIG_REGISTRY',
  'npm_config_registry',
  'PIP_INDEX_URL',
  'PIP_CERT',
] as const
