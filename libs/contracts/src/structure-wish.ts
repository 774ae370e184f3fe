import { z } from 'zod';
import { bounded, onlyKnown } from './openai/bounded.js';
import { StructuralTagSchema, type TagFormat, TagFormatSchema } from './structural-tag.js';

/** What structure an answer must have: one of the ways in which a request says so. */
export type StructureWish = StructureKind & {
  /** JSON without white space between its tokens. */
  readonly compact?: boolean;
};

type StructureKind =
  | { readonly kind: 'json_object' }
  | { readonly kind: 'json_schema'; readonly schema: unknown }
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'grammar'; readonly grammar: string }
  | { readonly kind: 'structural_tag'; readonly format: TagFormat };

/** Between API and engine. */
export const StructureWishSchema: z.ZodType<StructureWish> = z.discriminatedUnion(
  'kind',
  [
    z.object({ kind: z.literal('json_object') }),
    z.object({ kind: z.literal('json_schema'), schema: z.unknown() }),
    z.object({ kind: z.literal('regex'), pattern: z.string() }),
    z.object({ kind: z.literal('choice'), choices: z.array(z.string()) }),
    z.object({ kind: z.literal('grammar'), grammar: z.string() }),
    z.object({ kind: z.literal('structural_tag'), format: z.lazy(() => TagFormatSchema) }),
  ].map((kind) => kind.extend({ compact: z.boolean().optional() })) as unknown as [z.ZodObject],
) as unknown as z.ZodType<StructureWish>;

const MOST_CHOICES = 4096;
const jsonSchema = z.union([z.boolean(), z.record(z.string(), z.unknown())], {
  error: 'expected a JSON Schema: an object or a boolean',
});
/** vLLM's clients send it as text too. */
const jsonSchemaOrText = z.union([jsonSchema, z.string()], {
  error: 'expected a JSON Schema: an object, a boolean, or the text of one',
});
const choices = bounded(MOST_CHOICES, z.array(z.string()).min(1));

/** OpenAI's field. */
const ResponseFormatSchema = z.discriminatedUnion(
  'type',
  [
    z.looseObject({ type: z.literal('text') }),
    z.looseObject({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      json_schema: onlyKnown({
        name: z
          .string()
          .regex(/^[\w-]{1,64}$/, { error: 'expected at most 64 letters, digits, underscores and dashes' }),
        description: z.string().nullish(),
        schema: jsonSchema.nullish(),
        strict: z.boolean().nullish().describe('Accepted: every schema is kept to the letter'),
      }),
    }),
    z.looseObject({ type: z.literal('structural_tag') }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union' ? 'expected one of text, json_object, json_schema, structural_tag' : undefined,
  },
);

/** vLLM's field. */
const StructuredOutputsSchema = onlyKnown({
  json: jsonSchemaOrText.nullish(),
  json_object: z.boolean().nullish(),
  regex: z.string().nullish(),
  choice: choices.nullish(),
  grammar: z.string().nullish(),
  structural_tag: z.unknown().optional().describe('An object, or the JSON text of one'),
  disable_any_whitespace: z.boolean().nullish().describe('JSON without white space between its tokens'),
});

/** Of requests for an answer. At most one of them may wish for a structure. */
export const structureFields = {
  response_format: ResponseFormatSchema.nullish(),
  structured_outputs: StructuredOutputsSchema.nullish(),
  guided_json: jsonSchemaOrText.nullish(),
  guided_regex: z.string().nullish(),
  guided_choice: choices.nullish(),
  guided_grammar: z.string().nullish(),
};

const StructureFieldsSchema = z.object(structureFields);
export type StructureFields = z.infer<typeof StructureFieldsSchema>;

export interface WishFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

interface Found {
  /** Of the field, as in `structured_outputs.json`. */
  readonly path: readonly string[];
  readonly wish: StructureKind | WishFault;
}

/** What the fields wish for; undefined: nothing. */
export function structureWish(fields: StructureFields): StructureWish | WishFault | undefined {
  const [first, second] = wishes(fields);
  if (first === undefined) return undefined;
  if (second !== undefined)
    return {
      path: second.path,
      message: `only one of the fields for structure may be given, and ${first.path.join('.')} is too`,
    };
  if ('message' in first.wish) return { ...first.wish, path: [...first.path, ...first.wish.path] };
  return { ...first.wish, compact: fields.structured_outputs?.disable_any_whitespace === true };
}

/** Reports what is wrong with the fields. */
export function checkStructure(
  fields: StructureFields,
  report: (field: string, message: string) => void,
): void {
  const wish = structureWish(fields);
  if (wish !== undefined && 'message' in wish) report(wish.path.join('.'), wish.message);
}

/** Of fields in which nothing is wrong: what they wish for, and which of them does. */
export function wishedStructure(
  fields: StructureFields,
): { readonly wish: StructureWish; readonly field: string } | undefined {
  const wish = structureWish(fields);
  const [first] = wishes(fields);
  if (first === undefined || wish === undefined || 'message' in wish) return undefined;
  return { wish, field: first.path.join('.') };
}

function wishes(fields: StructureFields): Found[] {
  const found: Found[] = [];
  const add = (path: readonly string[], wish: StructureKind | WishFault) => found.push({ path, wish });
  const format = fields.response_format;
  if (format?.type === 'json_object') add(['response_format'], { kind: 'json_object' });
  if (format?.type === 'json_schema')
    add(['response_format', 'json_schema', 'schema'], schemaWish(format.json_schema.schema ?? {}));
  if (format?.type === 'structural_tag') add(['response_format'], tagWish(format));
  const own = fields.structured_outputs;
  if (own?.json_object === true) add(['structured_outputs', 'json_object'], { kind: 'json_object' });
  if (isGiven(own?.structural_tag))
    add(['structured_outputs', 'structural_tag'], tagWish(own.structural_tag));
  const { guided_json, guided_regex, guided_choice, guided_grammar } = fields;
  for (const [path, json] of [
    [['structured_outputs', 'json'], own?.json],
    [['guided_json'], guided_json],
  ] as const)
    if (isGiven(json)) add(path, schemaWish(json));
  for (const [path, pattern] of [
    [['structured_outputs', 'regex'], own?.regex],
    [['guided_regex'], guided_regex],
  ] as const)
    if (isGiven(pattern)) add(path, { kind: 'regex', pattern });
  for (const [path, choices] of [
    [['structured_outputs', 'choice'], own?.choice],
    [['guided_choice'], guided_choice],
  ] as const)
    if (isGiven(choices)) add(path, { kind: 'choice', choices });
  for (const [path, grammar] of [
    [['structured_outputs', 'grammar'], own?.grammar],
    [['guided_grammar'], guided_grammar],
  ] as const)
    if (isGiven(grammar)) add(path, { kind: 'grammar', grammar });
  return found;
}

const isGiven = <T>(value: T): value is NonNullable<T> => value !== undefined && value !== null;

function schemaWish(schema: unknown): StructureKind | WishFault {
  const value = typeof schema === 'string' ? parsed(schema) : schema;
  return value === undefined
    ? { path: [], message: 'expected the JSON text of a schema' }
    : { kind: 'json_schema', schema: plainJson(value) };
}

/** The parser of bodies gives large integers as bigints; in schemas they are numbers as any. */
export function plainJson(value: unknown): unknown {
  const isLarge = (each: unknown): each is bigint => typeof each === 'bigint';
  return JSON.parse(JSON.stringify(value, (_, each: unknown) => (isLarge(each) ? Number(each) : each)));
}

function tagWish(tag: unknown): StructureKind | WishFault {
  const read = StructuralTagSchema.safeParse(typeof tag === 'string' ? parsed(tag) : tag);
  if (read.success) return { kind: 'structural_tag', format: read.data };
  const [issue] = read.error.issues;
  return { path: (issue?.path ?? []) as (string | number)[], message: issue?.message ?? 'is invalid' };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
