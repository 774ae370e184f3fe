import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { checkTemplate, TEMPLATE_LIMIT_BYTES } from '#jinja/chat/check-template.js';
import type { GuardedText } from '#jinja/chat/control-tokens.js';
import type { RenderWorkerData } from '#jinja/chat/render-thread.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { RenderPool } from './render-pool.js';
import { readJsonIfThere } from './json-file.js';

export type ChatInput = Extract<GenerateRequest['input'], { kind: 'chat' }>;

const LIMITS = { timeout_ms: 2_000, memoryMegabytes: 256 };
/** The base model's template is the operator's: threads enough that one caller's long chats hold up nobody's. */
const BASE_THREADS = 3;
/** Adapters' templates come from tenants. */
const ADAPTER_THREADS = 4;
const WAITING_PER_CALLER = 256;
const BASE_SHARE_MS = 1_000;
const ADAPTER_SHARE_MS = 500;

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

/** What is wrong with the checkpoint's own templates, for the operator. */
export async function templateFaults(
  templates: NamedTemplates,
  specialTokens: Readonly<Record<string, string>>,
): Promise<string[]> {
  const faults: string[] = [];
  for (const [name, source] of templates) {
    const problem = await checkTemplate(source, specialTokens);
    if (problem !== undefined) faults.push(`${name}: ${problem.message}`);
  }
  return faults;
}

export interface ChatTemplatesOptions {
  readonly templates: NamedTemplates;
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly blobs: BlobStore;
  /** What the render threads must know of the tokenizer. */
  readonly render: RenderWorkerData;
  /** Control tokens in messages are meant, for templates that rely on it. */
  readonly trustMessages: boolean;
}

export interface RenderedFor {
  readonly manifest?: AdapterManifest | undefined;
  /** Of an adapter whose tokenizer is not the base's. */
  readonly guard?: RenderWorkerData | undefined;
  /** Whom the time is counted to. */
  readonly caller: string;
}

/** Chat messages to the prompt's text. An adapter's own template wins over the base model's. */
export class ChatTemplates {
  readonly #base: RenderPool;
  /** Apart from the base model's, so that a bad adapter template cannot hold up everybody's chats. */
  readonly #adapters: RenderPool;

  constructor(private readonly options: ChatTemplatesOptions) {
    const pool = (threads: number, share_ms: number): RenderPool =>
      new RenderPool({
        limits: LIMITS,
        data: options.render,
        threads,
        waitingPerCaller: WAITING_PER_CALLER,
        share_ms,
      });
    this.#base = pool(BASE_THREADS, BASE_SHARE_MS);
    this.#adapters = pool(ADAPTER_THREADS, ADAPTER_SHARE_MS);
    if (options.templates.size > 0) this.#base.warm();
  }

  async render(
    input: ChatInput,
    { manifest, guard, caller }: RenderedFor,
  ): Promise<GuardedText & { readonly source: string; readonly own: boolean }> {
    const { specialTokens, trustMessages: trusted, blobs } = this.options;
    const { conversation, addGenerationPrompt, continueFinalMessage } = input;
    const chat = { conversation, addGenerationPrompt, continueFinalMessage, specialTokens, trusted };
    const own = manifest?.chatTemplate;
    if (own === undefined) {
      const source = this.#source(input);
      return { ...(await this.#render(this.#base, caller, { source, chat, guard })), source, own: false };
    }
    const source = (await blobs.read(own.sha256, TEMPLATE_LIMIT_BYTES)).toString('utf8');
    return { ...(await this.#render(this.#adapters, caller, { source, chat, guard })), source, own: true };
  }

  async close(): Promise<void> {
    await Promise.all([this.#base.close(), this.#adapters.close()]);
  }

  #source(input: ChatInput): string {
    const { templates } = this.options;
    const template = (input.hasTools ? templates.get('tool_use') : undefined) ?? templates.get('default');
    if (template !== undefined) return template;
    throw invalid(
      'The model has no chat template; use /v1/completions, or give the adapter a chat_template.jinja.',
    );
  }

  async #render(
    pool: RenderPool,
    caller: string,
    job: Parameters<RenderPool['render']>[1],
  ): Promise<GuardedText> {
    const answer = await pool.render(caller, job);
    if (!('failure' in answer)) return answer;
    switch (answer.failure) {
      case 'internal':
        throw new AppError('internal_error', {
          message: 'The chat could not be rendered.',
          cause: answer.message,
        });
      case 'does_not_compile':
        throw invalid(`The model's chat template does not compile: ${answer.message}`);
      default:
        throw invalid(`The chat template could not be rendered with these messages: ${answer.message}`);
    }
  }
}

function invalid(message: string): AppError {
  return new AppError('invalid_request', { message, param: 'messages' });
}
