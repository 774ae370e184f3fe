import { z } from 'zod';
import { ReasoningFormatOrNoneSchema, ToolFormatOrNoneSchema } from './chat-formats.js';

/** What all our own resources share: names, labels, times and lists. */

/** Names of tenants, adapters and aliases; `/`, `@` and `:` stay free for `tenant/adapter@version` and `adapter:alias`. */
export const NameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    'expected 1 to 128 of A-Z a-z 0-9 . _ - starting with a letter or digit',
  )
  .describe('1 to 128 of A-Z a-z 0-9 . _ - starting with a letter or digit');

/** Labels of a version by which it says how its answers are written, where its chat template does not show it. */
export const FORMAT_LABELS = {
  tool_parser: ToolFormatOrNoneSchema,
  reasoning_parser: ReasoningFormatOrNoneSchema,
};

export const LabelsSchema = z
  .record(z.string().min(1).max(63), z.string().max(255))
  .refine((labels) => Object.keys(labels).length <= 64, 'expected at most 64 labels')
  .superRefine((labels, context) => {
    for (const [name, schema] of Object.entries(FORMAT_LABELS)) {
      const value = labels[name];
      if (value === undefined || schema.safeParse(value).success) continue;
      const message = `as a label it says how a version writes: expected one of ${schema.options.join(', ')}`;
      context.addIssue({ code: 'custom', path: [name], message });
    }
  });
export type Labels = z.infer<typeof LabelsSchema>;

export const DescriptionSchema = z.string().max(4000);

/** ISO 8601 in UTC. */
export const TimeSchema = z.iso.datetime();

/** A page of a list, newest first. */
export const PageQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(20),
  after: z.string().optional().describe("The last page's last_id"),
});
export type PageQuery = z.infer<typeof PageQuerySchema>;

export function listOf<T extends z.ZodType>(item: T) {
  return z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    last_id: z.string().nullable(),
  });
}

export interface List<T> {
  readonly object: 'list';
  readonly data: readonly T[];
  readonly has_more: boolean;
  readonly last_id: string | null;
}

/** The page made from `limit + 1` rows that were read. */
export function listPage<T extends { readonly id: string }>(rows: readonly T[], limit: number): List<T> {
  const data = rows.slice(0, limit);
  return { object: 'list', data, has_more: rows.length > limit, last_id: data.at(-1)?.id ?? null };
}

export const DeletedSchema = z.object({ id: z.string(), object: z.string(), deleted: z.literal(true) });
