import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { TemplateRenderer } from './template-renderer.js';
import { readJsonIfThere } from './tokenizer.js';

type ChatInput = Extract<GenerateRequest['input'], { kind: 'chat' }>;

const TEMPLATE_LIMIT_BYTES = 2 ** 20;
const LIMITS = { timeout_ms: 2_000, memoryMegabytes: 128, queueLimit: 1_024 };

/** Templates by name; `tool_use` is taken when the call has tools. */
export type NamedTemplates = ReadonlyMap<string, string>;

const ConfigSchema = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullish(),
});

/** The checkpoint's templates: chat_template.jinja, else what tokenizer_config.json holds. */
export async function readTemplates(modelPath: string): Promise<NamedTemplates> {
  try {
    return new Map([['default', await readFile(join(modelPath, 'chat_template.jinja'), 'utf8')]]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const { chat_template: given } = ConfigSchema.parse(
    (await readJsonIfThere(join(modelPath, 'tokenizer_config.json'))) ?? {},
  );
  if (given === null || given === undefined) return new Map();
  if (typeof given === 'string') return new Map([['default', given]]);
  return new Map(given.map(({ name, template }) => [name, template]));
}

/** Chat messages to the prompt's text. An adapter's own template wins over the base model's. */
export class ChatTemplates {
  readonly #base = new TemplateRenderer(LIMITS);
  /** Apart from the base model's, so that a bad adapter template cannot hold up everybody's chats. */
  readonly #adapters = new TemplateRenderer(LIMITS);

  constructor(
    private readonly templates: NamedTemplates,
    private readonly specialTokens: Readonly<Record<string, string>>,
    private readonly blobs: BlobStore,
  ) {
    if (templates.size > 0) this.#base.warm();
  }

  async render(input: ChatInput, manifest: AdapterManifest | undefined): Promise<string> {
    const values = {
      ...this.specialTokens,
      ...input.templateArguments,
      messages: input.messages.map(withoutUndefined),
      tools: input.tools ?? null,
      documents: null,
      add_generation_prompt: input.addGenerationPrompt,
    };
    if (manifest?.chatTemplate !== undefined) {
      const template = await this.blobs.read(manifest.chatTemplate.sha256, TEMPLATE_LIMIT_BYTES);
      return this.#adapters.render(template.toString('utf8'), values);
    }
    const template =
      (input.tools === undefined ? undefined : this.templates.get('tool_use')) ??
      this.templates.get('default');
    if (template === undefined) {
      throw new AppError('invalid_request', {
        message:
          'The model has no chat template; use /v1/completions, or give the adapter a chat_template.jinja.',
        param: 'messages',
      });
    }
    return this.#base.render(template, values);
  }

  async close(): Promise<void> {
    await Promise.all([this.#base.close(), this.#adapters.close()]);
  }
}

/** A template asks `message.tool_calls is defined`: an absent member must not be there. */
function withoutUndefined(message: object): object {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined));
}
