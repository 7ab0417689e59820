import { runContainer } from '../../common/src/container.ts'
import { PreviewProgram } from './preview-program.ts'
import { takeSettings } from './settings.ts'

await runContainer('preview', takeSettings, (settings, log) => new PreviewProgram({ settings, log }))
