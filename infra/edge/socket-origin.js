import cf from 'cloudfront'

/**
 * Viewer request of `/socket.io` and `/socket.io/*`, whose origin is the WebSocket API. A viewer function does not see `Upgrade`, so the
 * `transport` parameter, which every Engine.IO client sends, tells an upgrade from a poll. Whatever is not plainly an upgrade is the
 * HTTP API's to answer, or to refuse in Engine.IO's words.
 */
// biome-ignore lint/correctness/noUnusedVariables: CloudFront calls it by its name
function handler(event) {
  const request = event.request
  if (isWebSocket(request.querystring.transport)) {
    // The stage is the whole path of the WebSocket API; any other is refused with 403.
    request.uri = '/{{stage}}'
    return request
  }
  // The route is `/socket.io/{proxy+}`, which does not take the path without its slash.
  if (request.uri === '/socket.io') request.uri = '/socket.io/'
  cf.selectRequestOriginById('{{httpApiOriginId}}')
  return request
}

/** A parameter that is given twice counts when both mean the same: which of two values an origin takes is its own affair. */
function isWebSocket(transport) {
  if (!transport) return false
  const values = transport.multiValue || [transport]
  return values.every((one) => one.value === 'websocket')
}
