import { z } from 'zod';

export const VERSION_STATES = ['importing', 'uploaded', 'validating', 'ready', 'rejected'] as const;
export const VersionStateSchema = z.enum(VERSION_STATES);
export type VersionState = z.infer<typeof VersionStateSchema>;
