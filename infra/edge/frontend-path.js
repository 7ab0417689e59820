/**
 * Viewer request of everything that is not the APIs': the frontend finds its own way by the path, so a path that names no file gets
 * `index.html`. One that names a file (its last segment has an extension) stays as it is: a missing script is 404 and never a page of HTML.
 */
// biome-ignore lint/correctness/noUnusedVariables: CloudFront calls it by its name
function handler(event) {
  const request = event.request
  const name = request.uri.slice(request.uri.lastIndexOf('/') + 1)
  if (!/[^.]\.[^.]+$/.test(name)) request.uri = '/index.html'
  return request
}
