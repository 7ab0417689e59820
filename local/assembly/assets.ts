import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { AssetManifestSchema } from './template.ts'

/** A file or directory that the template refers to by an S3 key, such as a function's bundle. */
export interface FileAsset {
  readonly hash: string
  /** Absolute path; a directory when `packaging` is `zip`. */
  readonly path: string
  readonly packaging: 'file' | 'zip'
}

/** An image that the template refers to by an ECR URI. */
export interface ImageAsset {
  readonly hash: string
  /** Absolute path of the build context. */
  readonly directory: string
  /** Relative to `directory`. */
  readonly dockerFile: string
  readonly target: string | undefined
  readonly buildArgs: Readonly<Record<string, string>>
  readonly platform: string | undefined
}

/** The assets of one cloud assembly. */
export class Assets {
  readonly #files = new Map<string, FileAsset>()
  readonly #images = new Map<string, ImageAsset>()

  /** Adds what one `*.assets.json` lists; its paths are relative to `directory`. */
  addManifest(directory: string, file: string): void {
    const path = resolve(directory, file)
    if (!existsSync(path)) throw new Error(`The cloud assembly names ${path}, which does not exist`)
    const manifest = AssetManifestSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
    for (const [hash, { source, destinations }] of Object.entries(manifest.files)) {
      if (source.path === undefined) continue // made by a command at deploy time; nothing the runtime runs is
      const asset: FileAsset = { hash, path: resolve(directory, source.path), packaging: source.packaging ?? 'file' }
      this.#files.set(hash, asset)
      for (const { objectKey } of Object.values(destinations)) this.#files.set(objectKey, asset)
    }
    for (const [hash, { source, destinations }] of Object.entries(manifest.dockerImages)) {
      if (source.directory === undefined) continue
      const asset: ImageAsset = {
        hash,
        directory: resolve(directory, source.directory),
        dockerFile: source.dockerFile ?? 'Dockerfile',
        target: source.dockerBuildTarget,
        buildArgs: source.dockerBuildArgs ?? {},
        platform: source.platform,
      }
      this.#images.set(hash, asset)
      for (const { imageTag } of Object.values(destinations)) this.#images.set(imageTag, asset)
    }
  }

  /** The file asset with this hash or S3 key; undefined when the assembly has none. */
  file(hashOrKey: string): FileAsset | undefined {
    return this.#files.get(hashOrKey) ?? this.#files.get(hashOrKey.replace(/\.\w+$/, ''))
  }

  /** The image asset with this hash, tag or ECR URI (`…amazonaws.com/repository:tag`); undefined for another image. */
  image(uri: string): ImageAsset | undefined {
    return this.#images.get(uri.slice(uri.lastIndexOf(':') + 1))
  }
}
