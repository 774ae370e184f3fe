import { z } from 'zod';

/*
 * Structural tags as vLLM takes them: texts in which some parts, each between its begin and its end, keep a format of
 * their own.
 */

export type TagFormat =
  | { readonly type: 'any_text' }
  | { readonly type: 'const_string'; readonly value: string }
  | { readonly type: 'json_schema'; readonly json_schema: unknown; readonly spelling?: ValueSpelling }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'grammar'; readonly grammar: string }
  | { readonly type: 'sequence' | 'or'; readonly elements: readonly TagFormat[] }
  | Tag
  | TriggeredTags
  | TagsWithSeparator;

/**
 * How values are written that fit a schema, where not as JSON; no caller says it. `python`: as the arguments of a call, in
 * parentheses. `marked`: JSON with texts as they are between marks, which hold none of `excluded`.
 */
export type ValueSpelling =
  | { readonly kind: 'python' }
  | { readonly kind: 'marked'; readonly quote: string; readonly excluded: readonly string[] };

export interface Tag {
  readonly type: 'tag';
  readonly begin: string;
  readonly content: TagFormat;
  readonly end: string;
}

/** Free text, until a trigger: then one of the tags that begin with it. */
export interface TriggeredTags {
  readonly type: 'triggered_tags';
  readonly triggers: readonly string[];
  readonly tags: readonly Tag[];
  readonly at_least_one?: boolean | undefined;
  readonly stop_after_first?: boolean | undefined;
}

export interface TagsWithSeparator {
  readonly type: 'tags_with_separator';
  readonly tags: readonly Tag[];
  readonly separator: string;
  readonly at_least_one?: boolean | undefined;
  readonly stop_after_first?: boolean | undefined;
}

const MOST_PARTS = 128;
const text = z.string().max(1024);
/** What stands at the border of a tag. */
const mark = text.min(1);
const jsonSchema = z.union([z.boolean(), z.record(z.string(), z.unknown())], {
  error: 'expected a JSON Schema: an object or a boolean',
});

const elements = z.lazy(() => z.array(TagFormatSchema).min(1).max(MOST_PARTS));
const tagMembers = { begin: mark, content: z.lazy(() => TagFormatSchema), end: mark };
const TagSchema = z.strictObject({ type: z.literal('tag').default('tag'), ...tagMembers });
const tags = z.array(TagSchema).min(1).max(MOST_PARTS);
const amount = { at_least_one: z.boolean().optional(), stop_after_first: z.boolean().optional() };

export const TagFormatSchema: z.ZodType<TagFormat> = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('any_text') }),
  z.strictObject({ type: z.literal('const_string'), value: text }),
  z.strictObject({ type: z.literal('json_schema'), json_schema: jsonSchema }),
  z.strictObject({ type: z.literal('regex'), pattern: z.string() }),
  z.strictObject({ type: z.literal('grammar'), grammar: z.string() }),
  z.strictObject({ type: z.literal('sequence'), elements }),
  z.strictObject({ type: z.literal('or'), elements }),
  z.strictObject({ type: z.literal('tag'), ...tagMembers }),
  z.strictObject({
    type: z.literal('triggered_tags'),
    triggers: z.array(mark).min(1).max(MOST_PARTS),
    tags,
    ...amount,
  }),
  z.strictObject({ type: z.literal('tags_with_separator'), tags, separator: text, ...amount }),
]);

/** The older form, of JSON alone. */
const OlderSchema = z
  .object({
    structures: z
      .array(z.strictObject({ begin: mark, schema: jsonSchema, end: mark }))
      .min(1)
      .max(MOST_PARTS),
    triggers: z.array(mark).min(1).max(MOST_PARTS),
  })
  .transform(
    ({ structures, triggers }): TagFormat => ({
      type: 'triggered_tags',
      triggers,
      tags: structures.map(({ begin, schema, end }) => ({
        type: 'tag',
        begin,
        content: { type: 'json_schema', json_schema: schema },
        end,
      })),
    }),
  );
const NewerSchema = z.object({ format: TagFormatSchema }).transform(({ format }) => format);

/** `{"structures": [...], "triggers": [...]}`, or `{"format": ...}`. */
export const StructuralTagSchema = z.unknown().transform((value, context): TagFormat => {
  const isNewer = typeof value === 'object' && value !== null && 'format' in value;
  const parsed = (isNewer ? NewerSchema : OlderSchema).safeParse(value);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues)
    context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});
