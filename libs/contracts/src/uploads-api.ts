import { z } from 'zod';
import { TimeSchema } from './resource.js';

/** `/v1/uploads`: files sent piece by piece by the tus protocol. */
export const UploadSchema = z.object({
  id: z.string(),
  object: z.literal('upload'),
  bytes: z.int(),
  received_bytes: z.int(),
  /** As given at its creation, e.g. `filename`. */
  metadata: z.record(z.string(), z.string().nullable()),
  created_at: TimeSchema,
  expires_at: TimeSchema,
});
export type UploadResource = z.infer<typeof UploadSchema>;
