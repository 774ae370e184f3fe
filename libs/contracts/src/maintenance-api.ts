import { z } from 'zod';
import { TimeSchema } from './resource.js';

/** `/v1/admin/maintenance`: inference and changes answer 503; reads and the operator's own calls go on. */

export const MAINTENANCE_TEXT = 'The service is under maintenance.';

export const MaintenanceSchema = z.object({
  object: z.literal('maintenance'),
  enabled: z.boolean(),
  /** What callers read. */
  message: z.string(),
  retry_after_s: z.int(),
  /** Since when it is as it is; null: it has never been enabled. */
  changed_at: TimeSchema.nullable(),
});
export type MaintenanceResource = z.infer<typeof MaintenanceSchema>;

export const PutMaintenanceSchema = z.strictObject({
  enabled: z.boolean(),
  message: z.string().min(1).max(500).default(MAINTENANCE_TEXT),
  retry_after_s: z.int().min(1).max(86_400).default(60),
});
export type PutMaintenance = z.infer<typeof PutMaintenanceSchema>;
