import { z } from 'zod';

/*
 * How models write what is more than text: calls of tools, and what they think before they answer. Which one a model has
 * is known by its chat template; the engine tells it with each answer's beginning.
 */

export const TOOL_FORMATS = [
  'hermes',
  'mistral',
  'llama3_json',
  'pythonic',
  'phi',
  'gemma',
  'harmony',
] as const;
export const ToolFormatSchema = z.enum(TOOL_FORMATS);
export type ToolFormat = z.infer<typeof ToolFormatSchema>;

export const REASONING_FORMATS = ['think', 'mistral', 'harmony'] as const;
export const ReasoningFormatSchema = z.enum(REASONING_FORMATS);
export type ReasoningFormat = z.infer<typeof ReasoningFormatSchema>;

/** Instead of what the template shows; `none`: the model has none. */
export const ToolFormatOrNoneSchema = z.enum([...TOOL_FORMATS, 'none']);
export const ReasoningFormatOrNoneSchema = z.enum([...REASONING_FORMATS, 'none']);

/** What of an answer the caller wants told apart from its text. */
export const WantedFormatsSchema = z.object({
  tools: z.boolean(),
  reasoning: z.boolean(),
  /** What the adapter's version says of itself; absent: as its template, or the base model's setting, says. */
  toolFormat: ToolFormatOrNoneSchema.optional(),
  reasoningFormat: ReasoningFormatOrNoneSchema.optional(),
});
export type WantedFormats = z.infer<typeof WantedFormatsSchema>;

/** How the answer to come is written; absent: as plain text. */
export const AnswerFormatsSchema = z.object({
  tools: ToolFormatSchema.optional(),
  reasoning: ReasoningFormatSchema.optional(),
  /** The prompt ends within the reasoning. */
  reasoningOpen: z.boolean().optional(),
});
export type AnswerFormats = z.infer<typeof AnswerFormatsSchema>;
