import { REASONING_FORMATS, TOOL_FORMATS } from '#contracts/chat-formats.js';
import { z } from 'zod';
import { goodputSettings } from '#runtime/goodput.js';
import { parseBytes, setting, text } from '#runtime/settings.js';
import { deviceSetting, type DeviceSetting } from './device-choice.js';

/** Absent: worked out from the machine and the model. */
const optionalBytes = z
  .string()
  .optional()
  .transform((value, context) => {
    if (value === undefined) return undefined;
    const bytes = parseBytes(value);
    if (bytes !== undefined && bytes > 0) return bytes;
    context.addIssue(`expected bytes such as 1073741824, 512M or 2G, got "${value}"`);
    return z.NEVER;
  });

const optionalInteger = (min: number, max: number) =>
  z
    .string()
    .optional()
    .transform((value, context) => {
      if (value === undefined) return undefined;
      const number = Number(value);
      if (Number.isInteger(number) && number >= min && number <= max) return number;
      context.addIssue(`expected a whole number from ${min} to ${max}, got "${value}"`);
      return z.NEVER;
    });

export const servingSettings = {
  modelPath: setting(
    {
      name: 'MODEL_PATH',
      summary:
        'Folder of a Hugging Face checkpoint (config.json, *.safetensors, tokenizer.json), or a GGUF file, of a split one its first part; or `hf://org/repo[@revision][/folder]`, which is pulled into `DATA_DIR`/models',
      defaultText: 'the bundled demo model (set by `npm start`)',
    },
    z.string({
      error: 'is required: the folder of a Hugging Face checkpoint, or a GGUF file',
    }) as unknown as z.ZodType<string, string | undefined>,
  ),
  modelName: setting(
    { name: 'MODEL_NAME', summary: 'Name of the base model in the API', defaultText: 'folder name' },
    text.optional(),
  ),
  quantization: setting(
    {
      name: 'QUANTIZATION',
      summary:
        'How the base weights are kept: `none` (as in the checkpoint), `int8`, `int4` or `nf4`. A checkpoint that is quantized already keeps its own (docs/quantization.md)',
      defaultText: 'none',
    },
    text.oneOf(['none', 'int8', 'int4', 'nf4'], 'none'),
  ),
  device: setting(
    {
      name: 'DEVICE',
      summary:
        '`cpu`, `cuda` or `cuda:N`, the NVIDIA GPU of that number; `auto` takes the first GPU where the driver loads and the device suffices, else the CPU, and says which and why',
      defaultText: 'auto',
    },
    z
      .string()
      .default('auto')
      .transform((value, context): DeviceSetting => {
        const device = deviceSetting(value);
        if (device !== undefined) return device;
        context.addIssue(`expected auto, cpu, cuda or cuda:N, got "${value}"`);
        return z.NEVER;
      }),
  ),
  stepDeadline_s: setting(
    {
      name: 'STEP_DEADLINE_S',
      summary:
        'Longest time that a step may take on a GPU: the device is taken as lost then, and the engine ends with code 70, to be started again',
      defaultText: '60',
    },
    text.integer(60, 1, 86_400),
  ),
  threads: setting(
    { name: 'THREADS', summary: 'Threads of the CPU backend', defaultText: 'physical cores' },
    optionalInteger(1, 1024),
  ),
  kvCacheBytes: setting(
    {
      name: 'KV_CACHE_BYTES',
      summary: 'Size of the paged KV cache',
      defaultText: 'a quarter of the free memory, at most MAX_SEQUENCES full contexts',
    },
    optionalBytes,
  ),
  kvCacheDtype: setting(
    {
      name: 'KV_CACHE_DTYPE',
      summary:
        'Element type of the KV cache: `f32`, `f16`, `bf16` or `int8` (docs/quantization.md); `auto` is `f32`, the highest fidelity, with `QUANTIZATION=none`, else `bf16`',
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'f32', 'f16', 'bf16', 'int8'], 'auto'),
  ),
  adapterDtype: setting(
    {
      name: 'ADAPTER_DTYPE',
      summary:
        "How adapters' matrices are kept on the device: `stored` (as in their files), `bf16`, or `int8` (docs/quantization.md); `auto` is `stored`, the highest fidelity, with `QUANTIZATION=none`, else `bf16`",
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'stored', 'bf16', 'int8'], 'auto'),
  ),
  adapterCacheBytes: setting(
    { name: 'ADAPTER_CACHE_BYTES', summary: 'Adapters resident on the device', defaultText: '1G' },
    text.bytes(2 ** 30),
  ),
  hostAdapterCacheBytes: setting(
    {
      name: 'HOST_ADAPTER_CACHE_BYTES',
      summary: 'Weights kept fetched and verified on the host, so that they reach the device without storage',
      defaultText: '4G',
    },
    text.bytes(4 * 2 ** 30),
  ),
  adapterExtraTokens: setting(
    {
      name: 'ADAPTER_EXTRA_TOKENS',
      summary:
        "Tokens that an adapter may have beyond the base's vocabulary (docs/adapter-report.md); each takes a few bytes of every step, and nothing of requests without such an adapter",
      defaultText: '1024',
    },
    text.integer(1024, 0, 1_000_000),
  ),
  speculation: setting(
    {
      name: 'SPECULATION',
      summary:
        "Guess tokens ahead: `off`; `ngram`, from the request's own text; `draft`, by the draft model and from the text. The answers are the same, a request may say otherwise. `auto`: the draft model, if there is one",
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'off', 'ngram', 'draft'], 'auto'),
  ),
  draftModelPath: setting(
    {
      name: 'DRAFT_MODEL_PATH',
      summary:
        'Folder or GGUF file of a smaller checkpoint with the same tokenizer that guesses tokens ahead for all adapters, where that is faster',
    },
    text.optional(),
  ),
  draftKvCacheBytes: setting(
    {
      name: 'DRAFT_KV_CACHE_BYTES',
      summary: "Size of the draft model's KV cache",
      defaultText: "as many tokens as the model's own, at most a quarter of the free memory",
    },
    optionalBytes,
  ),
  ...goodputSettings,
  maxSequences: setting(
    { name: 'MAX_SEQUENCES', summary: 'Requests computed in one step', defaultText: '64' },
    text.integer(64, 1, 4096),
  ),
  maxStepTokens: setting(
    { name: 'MAX_STEP_TOKENS', summary: 'Tokens computed in one step', defaultText: '512' },
    text.integer(512, 16, 65_536),
  ),
  maxContext: setting(
    {
      name: 'MAX_CONTEXT',
      summary: 'Tokens that one request may have (prompt and completion)',
      defaultText: "the model's, or what fits in the KV cache",
    },
    optionalInteger(2, 16_777_216),
  ),
  chatControlTokens: setting(
    {
      name: 'CHAT_CONTROL_TOKENS',
      summary:
        'Control tokens spelled in the text of chat messages: `text` (ordinary text, so that no caller can forge a turn) or `trust` (control tokens, for a template that relies on it)',
      defaultText: 'text',
    },
    text.oneOf(['text', 'trust'], 'text'),
  ),
  toolParser: setting(
    {
      name: 'TOOL_PARSER',
      summary: `How the base model writes calls of tools: ${TOOL_FORMATS.map((name) => `\`${name}\``).join(', ')} or \`none\`; \`auto\`: as its chat template shows`,
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'none', ...TOOL_FORMATS], 'auto'),
  ),
  reasoningParser: setting(
    {
      name: 'REASONING_PARSER',
      summary: `How the base model writes its reasoning: ${REASONING_FORMATS.map((name) => `\`${name}\``).join(', ')} or \`none\`; \`auto\`: as its chat template shows`,
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'none', ...REASONING_FORMATS], 'auto'),
  ),
  structureTimeout_ms: setting(
    {
      name: 'STRUCTURE_TIMEOUT_MS',
      summary: 'Longest time that the structure of an answer (a schema, a pattern) may take to be compiled',
      defaultText: '5000',
    },
    text.integer(5_000, 1, 600_000),
  ),
  maxQueuedRequests: setting(
    {
      name: 'MAX_QUEUED_REQUESTS',
      summary: 'Requests that may wait for a place; more are answered 503',
      defaultText: '1024',
    },
    text.integer(1024, 1, 100_000),
  ),
};
