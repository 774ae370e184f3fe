import { z } from 'zod';
import { listOf } from './resource.js';

/** `GET /v1/admin/settings`: what this API process was started with. */
export const SettingSchema = z.object({
  object: z.literal('setting'),
  /** The environment variable. */
  name: z.string(),
  summary: z.string(),
  /** As it was read; null: none, or a secret. */
  value: z.string().nullable(),
  /** In words. */
  default: z.string(),
  /** It is not what counts where nothing is said. */
  changed: z.boolean(),
  secret: z.boolean(),
});
export type SettingResource = z.infer<typeof SettingSchema>;
export const SettingListSchema = listOf(SettingSchema);
