import type { z } from 'zod';
import { AppError } from '#runtime/app-error.js';

/** A body of the engine's own protocol; throws invalid_request with the first member that is wrong. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const param = issue?.path.join('.') ?? '';
  throw new AppError('invalid_request', { message: `${param}: ${issue?.message ?? 'not valid'}`, param });
}
