import { z } from 'zod';
import { listOf } from './resource.js';

/** `/v1/adapters/{adapter}/versions/{version}/files`: what was uploaded, and the manifest made from it. */

export const VersionFileSchema = z.object({
  /** Its name, e.g. `adapter_model.safetensors`. */
  id: z.string(),
  object: z.literal('adapter.version.file'),
  bytes: z.int(),
  sha256: z.string(),
  made: z.boolean().describe('The server made it of the files that came'),
});
export type VersionFileResource = z.infer<typeof VersionFileSchema>;
export const VersionFileListSchema = listOf(VersionFileSchema);
