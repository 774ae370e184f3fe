import { z } from 'zod';
import type { AdapterProblem } from '#contracts/adapter-report.js';

/** The longest template that is rendered. */
export const TEMPLATE_LIMIT_BYTES = 2 ** 20;

const ConfigSchema = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() })).max(64)])
    .nullish(),
});

export interface ConfiguredTemplates {
  readonly chatTemplate?: string;
  /** For calls with tools, as in Transformers. */
  readonly toolChatTemplate?: string;
}

/** The templates that a tokenizer_config.json holds: one, or several by name. */
export function templatesOf(text: string): ConfiguredTemplates | { readonly error: AdapterProblem } {
  let value: unknown;
  try {
    value = JSON.parse(text); // Transformers writes what is no strict JSON, such as 1e30 for no limit of length
  } catch {
    return { error: problem('is not JSON') };
  }
  const parsed = ConfigSchema.safeParse(value);
  if (!parsed.success)
    return { error: problem('chat_template is neither text nor a list of named templates') };
  const { chat_template: given } = parsed.data;
  if (given === null || given === undefined) return {};
  const named = typeof given === 'string' ? new Map([['default', given]]) : byName(given);
  const [chatTemplate, toolChatTemplate] = [named.get('default') ?? onlyOne(named), named.get('tool_use')];
  const longest = Math.max(...[chatTemplate, toolChatTemplate].map((each) => Buffer.byteLength(each ?? '')));
  if (longest > TEMPLATE_LIMIT_BYTES) {
    return { error: problem(`chat_template has ${longest} bytes; ${TEMPLATE_LIMIT_BYTES} are allowed`) };
  }
  return {
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
    ...(toolChatTemplate === undefined ? {} : { toolChatTemplate }),
  };
}

const byName = (given: readonly { name: string; template: string }[]) =>
  new Map(given.map(({ name, template }) => [name, template]));

function onlyOne(named: ReadonlyMap<string, string>): string | undefined {
  return named.size === 1 ? [...named.values()][0] : undefined;
}

function problem(message: string): AdapterProblem {
  return { code: 'chat_template_invalid', message: `tokenizer_config.json: ${message}.` };
}
