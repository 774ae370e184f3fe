import { Readable } from 'node:stream';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { EXTRACTED_TEMPLATE_FILE, TOOL_TEMPLATE_FILE } from '../blobs/removal.js';
import { TEMPLATE_LIMIT_BYTES, templatesOf } from './chat-templates.js';
import { readGenerationConfig } from './generation-config.js';
import { readAddedTokens } from './added-tokens.js';
import {
  ADDED_TOKENS_FILE,
  GENERATION_FILE,
  limitOfPart,
  TEMPLATE_FILE,
  TOKENIZER_CONFIG_FILE,
  TOKENIZER_FILE,
} from './upload-parts.js';

/** What the small files beside config and weights say. */
export interface VersionExtras {
  readonly manifest: Pick<
    AdapterManifest,
    'chatTemplate' | 'toolChatTemplate' | 'generation' | 'addedTokens'
  >;
  /** Files made from those that came, by name. */
  readonly made: ReadonlyMap<string, BlobInfo>;
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

export interface ExtrasInput {
  readonly files: ReadonlyMap<string, BlobInfo>;
  /** With the adapter's vocabulary. */
  readonly base: Pick<BaseModel, 'vocabSize' | 'tokenizerSize'>;
  readonly blobs: BlobStore;
}

export async function readExtras(input: ExtrasInput): Promise<VersionExtras> {
  const templates = await readTemplates(input);
  const text = await textOf(input, GENERATION_FILE);
  const added = readAddedTokens(
    {
      tokenizer: await textOf(input, TOKENIZER_FILE),
      config: await textOf(input, TOKENIZER_CONFIG_FILE),
      added: await textOf(input, ADDED_TOKENS_FILE),
    },
    input.base,
  );
  const generation = text === undefined ? undefined : readGenerationConfig(text, input.base.vocabSize);
  return {
    manifest: {
      ...templates.manifest,
      ...(generation?.generation && { generation: generation.generation }),
      ...(added.tokens.length > 0 && { addedTokens: [...added.tokens] }),
    },
    made: templates.made,
    errors: [...templates.errors, ...(generation?.errors ?? []), ...added.errors],
    warnings: [...(generation?.warnings ?? []), ...added.warnings],
  };
}

type ReadTemplates = Omit<VersionExtras, 'warnings'>;

/** chat_template.jinja counts; without it, what tokenizer_config.json holds. */
async function readTemplates(input: ExtrasInput): Promise<ReadTemplates> {
  const nothing = { manifest: {}, made: new Map<string, BlobInfo>(), errors: [] };
  const own = input.files.get(TEMPLATE_FILE);
  if (own && own.bytes > TEMPLATE_LIMIT_BYTES) {
    const message = `${TEMPLATE_FILE} has ${own.bytes} bytes; ${TEMPLATE_LIMIT_BYTES} are allowed.`;
    return { ...nothing, errors: [{ code: 'chat_template_invalid', message }] };
  }
  if (own) return { ...nothing, manifest: { chatTemplate: own } };
  const text = await textOf(input, TOKENIZER_CONFIG_FILE);
  const found = text === undefined ? {} : templatesOf(text);
  if ('error' in found) return { ...nothing, errors: [found.error] };
  const put = async (template: string | undefined): Promise<BlobInfo | undefined> =>
    template === undefined
      ? undefined
      : input.blobs.put(Readable.from([Buffer.from(template)]), { limitBytes: TEMPLATE_LIMIT_BYTES });
  const [chatTemplate, toolChatTemplate] = [await put(found.chatTemplate), await put(found.toolChatTemplate)];
  return {
    manifest: { ...(chatTemplate && { chatTemplate }), ...(toolChatTemplate && { toolChatTemplate }) },
    made: new Map([
      ...(chatTemplate ? [[EXTRACTED_TEMPLATE_FILE, chatTemplate] as const] : []),
      ...(toolChatTemplate ? [[TOOL_TEMPLATE_FILE, toolChatTemplate] as const] : []),
    ]),
    errors: [],
  };
}

async function textOf({ files, blobs }: ExtrasInput, name: string): Promise<string | undefined> {
  const file = files.get(name);
  return file && (await blobs.read(file.sha256, limitOfPart(name, 0))).toString('utf8');
}
