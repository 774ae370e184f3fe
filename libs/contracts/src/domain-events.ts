import { z } from 'zod';

/** What happens to a tenant's resources that others may want to hear of; each carries the public resource. */
export const DOMAIN_EVENT_TYPES = [
  'adapter.version.ready',
  'adapter.version.rejected',
  'adapter.version.revalidated',
  'base_move.finished',
  'adapter.alias.changed',
  'adapter.alias.change_requested',
  'adapter.alias.change_decided',
  'fine_tuning.job.succeeded',
  'fine_tuning.job.failed',
  'fine_tuning.job.cancelled',
  'budget.alert',
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
] as const;
export const DomainEventTypeSchema = z.enum(DOMAIN_EVENT_TYPES);
export type DomainEventType = z.infer<typeof DomainEventTypeSchema>;
