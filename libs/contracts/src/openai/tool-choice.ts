import { z } from 'zod';
import { bounded, MOST } from './bounded.js';

const NamedSchema = z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) });

/** OpenAI's field. */
export const ToolChoiceSchema = z.union(
  [
    z.enum(['auto', 'none', 'required']),
    NamedSchema,
    z.object({
      type: z.literal('allowed_tools'),
      allowed_tools: z.object({
        mode: z.enum(['auto', 'required']),
        tools: bounded(MOST.tools, z.array(NamedSchema).min(1).max(MOST.tools)),
      }),
    }),
  ],
  {
    error:
      'expected "auto", "none", "required", {"type": "function", "function": {"name": ...}}, or ' +
      '{"type": "allowed_tools", "allowed_tools": {"mode", "tools"}}',
  },
);
export type ToolChoice = z.infer<typeof ToolChoiceSchema>;

export interface ChosenTools {
  readonly mode: 'auto' | 'none' | 'required';
  /** The only tools that may be called; absent: all of them. */
  readonly names?: readonly string[];
  /** Exactly one call. */
  readonly isOne?: boolean;
}

export function chosenTools(choice: ToolChoice | null | undefined): ChosenTools {
  if (choice === null || choice === undefined) return { mode: 'auto' };
  if (typeof choice === 'string') return { mode: choice };
  if (choice.type === 'function') return { mode: 'required', names: [choice.function.name], isOne: true };
  const { mode, tools } = choice.allowed_tools;
  return { mode, names: tools.map(({ function: { name } }) => name) };
}
