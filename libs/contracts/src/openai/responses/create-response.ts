import { z } from 'zod';
import { bounded, MOST, onlyKnown } from '../bounded.js';
import {
  answerFields,
  ignoredFields,
  MAX_TOP_LOGPROBS,
  promptFields,
  refused,
  samplingFields,
} from '../generation-fields.js';
import { InputItemSchema } from './items.js';

/** OpenAI's limits of `metadata`. */
const MOST_METADATA = 16;

const ToolSchema = z.looseObject({
  type: z.literal('function', { error: 'only "function" tools are supported' }),
  name: z.string().min(1).max(256),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});
export type ResponseTool = z.infer<typeof ToolSchema>;

const items = bounded(MOST.messages, z.array(InputItemSchema).min(1).max(MOST.messages));

const INCLUDABLE = [
  'message.output_text.logprobs',
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
] as const;

/** What the tokens of a request are made of. */
const promptOfResponse = {
  model: answerFields.model,
  user: answerFields.user,
  input: z.union([z.string().min(1), items], {
    error: 'expected a text that is not empty, or an array of items',
  }),
  instructions: z
    .string()
    .nullish()
    .describe('A system message before all others; not carried to the next response'),
  previous_response_id: z.string().min(1).max(128).nullish().describe('Goes on with a stored response'),
  tools: bounded(MOST.tools, z.array(ToolSchema).max(MOST.tools)).nullish(),
  tool_choice: z.unknown().optional().describe('As in /v1/chat/completions'),
  parallel_tool_calls: z.boolean().nullish().describe('false: only the first call of an answer is given'),
  reasoning: z
    .looseObject({ effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).nullish() })
    .nullish()
    .describe('`effort` is given to the chat template; summaries are not made'),
  text: onlyKnown({
    format: z.looseObject({ type: z.string() }).nullish(),
    verbosity: z.literal('medium', { error: 'only "medium" is supported' }).nullish(),
  }).nullish(),
  truncation: z
    .enum(['auto', 'disabled'])
    .nullish()
    .describe('`auto` leaves out the oldest items of a conversation that does not fit the context'),
  chat_template_kwargs: bounded(MOST.templateArguments, z.record(z.string(), z.unknown())).nullish(),
  conversation: refused('conversations are not supported: use previous_response_id'),
  prompt: refused('prompt templates are not supported'),
  context_management: refused('context_management is not supported'),
};

/** Members that reach a template with the spelling of their numbers. */
export const VERBATIM_IN_RESPONSES = ['tools', 'chat_template_kwargs'];

/** POST /v1/responses. */
export const CreateResponseSchema = onlyKnown({
  ...promptOfResponse,
  ...samplingFields,
  lora_scale: answerFields.lora_scale,
  max_output_tokens: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .nullish(),
  max_tool_calls: refused('max_tool_calls is of tools that the server runs; it runs none'),
  top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).nullish(),
  include: z.array(z.enum(INCLUDABLE)).max(INCLUDABLE.length).nullish(),
  stream: z.boolean().nullish(),
  stream_options: onlyKnown({ include_obfuscation: z.boolean().nullish() }).nullish(),
  store: z.boolean().nullish().describe('false: nothing is kept. Default: true'),
  background: z.literal(false, { error: 'only false is supported' }).nullish(),
  metadata: z
    .record(z.string().max(64), z.string().max(512))
    .refine(
      (entries) => Object.keys(entries).length <= MOST_METADATA,
      `expected at most ${MOST_METADATA} entries`,
    )
    .nullish(),
  cache_salt: promptFields.cache_salt,
  priority: promptFields.priority,
  service_tier: promptFields.service_tier,
  prompt_cache_key: z.string().nullish(),
  prompt_cache_retention: ignoredFields.prompt_cache_retention,
  safety_identifier: z.string().nullish(),
});
export type CreateResponse = z.infer<typeof CreateResponseSchema>;

/** POST /v1/responses/input_tokens. */
export const CountInputTokensSchema = onlyKnown(promptOfResponse);
export type CountInputTokens = z.infer<typeof CountInputTokensSchema>;
export const InputTokensSchema = z.object({
  object: z.literal('response.input_tokens'),
  input_tokens: z.int(),
});
export type InputTokens = z.infer<typeof InputTokensSchema>;
