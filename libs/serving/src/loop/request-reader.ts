import type { AnswerFormats } from '#contracts/chat-formats.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { OpenedModel, ServingSettings } from '../model-opening.js';
import type { AdapterVersion } from '../residency/adapter-residency.js';
import type { AdapterTiers } from '../residency/adapter-tiers.js';
import { type Activation, activationOf } from '../residency/invocation.js';
import { checkScale } from '../residency/scaled-delta.js';
import type { AnswerStructures, WishedStructure } from '../structure/answer-structures.js';
import type { AdapterTokenizers } from '../text/adapter-tokenizers.js';
import { formatsOf, MARK_TOKENS, type ResolvedFormats } from '../text/chat-formats.js';
import type { PromptReader, ReadPrompt } from '../text/prompt-reader.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { checkRequest, completionLimit, limitsFor, type ModelLimits } from './admission.js';
import { drawingOf } from './drawing.js';
import { withGenerationDefaults } from './generation-defaults.js';
import type { StopOptions } from './stop-rule.js';
import { badWordTokens, type TokenBans } from './token-bans.js';

export interface RequestReaderOptions {
  readonly model: OpenedModel;
  readonly settings: Pick<ServingSettings, 'toolParser' | 'reasoningParser'>;
  readonly adapters: AdapterTiers;
  readonly tokenizers: AdapterTokenizers;
  readonly prompts: PromptReader;
  readonly structures: AnswerStructures;
}

/** All that has to be known of a request before it takes its place. */
export interface ReadRequest extends Activation {
  readonly request: GenerateRequest;
  readonly tokenizer: Tokenizer;
  /** Tokens that there are for it: the base's, or its adapter's own. */
  readonly vocabSize: number;
  readonly prompt: ReadPrompt;
  readonly predicted: Int32Array | undefined;
  readonly formats: AnswerFormats | undefined;
  readonly stops: StopOptions;
  readonly bans: TokenBans;
  readonly structure: WishedStructure | undefined;
}

/** From what was asked to what the loop takes: tokenized, found good, its adapter on the host. */
export class RequestReader {
  constructor(private readonly options: RequestReaderOptions) {}

  /** Throws what can be seen to be wrong without waiting for anything. */
  check(asked: GenerateRequest): void {
    const { pooling } = this.options.model;
    if (asked.embedding && pooling instanceof AppError) throw pooling;
  }

  async read(asked: GenerateRequest): Promise<ReadRequest> {
    const { adapters, prompts, structures, model, tokenizers } = this.options;
    const adapter = await adapters.version(asked);
    const limits = this.limits(asked, adapter);
    checkRequest(asked, limits);
    checkScale(asked.adapterScale ?? 1, adapter?.manifest);
    const tokenizer = await tokenizers.of(adapter?.manifest, asked.fairnessKey);
    const request = withGenerationDefaults(asked, adapter?.manifest);
    // From storage to the host while others compute; only then does it count as waiting for its turn.
    const [prompt, predicted, badWords] = await Promise.all([
      prompts.read(request, adapter?.manifest),
      prompts.readPrediction(request, adapter?.manifest),
      badWordTokens(request.badWords ?? [], (text) =>
        prompts.encodePlain(text, request.fairnessKey, adapter?.manifest),
      ),
      adapters.fetch(adapter, { key: request.fairnessKey, weight: request.fairnessWeight ?? 1 }),
    ]);
    const maxTokens = completionLimit(prompt.ids.length, request.maxTokens, limits);
    const { formats, tokens: shown } = this.#formats(request, prompt) ?? {};
    const structure =
      maxTokens === 0 ? undefined : await structures.wished(request, formats ?? {}, prompt.chat);
    const drawn = { request, adapter, maxTokens, badWords, shown, structured: structure !== undefined };
    const { eosTokenIds } = model;
    return {
      request,
      tokenizer,
      vocabSize: limits.vocabSize,
      prompt,
      predicted,
      formats,
      structure,
      ...activationOf(adapter, prompt.ids),
      ...drawingOf(drawn, { tokenizer, eosTokenIds }, tokenizer.idsOf(MARK_TOKENS)),
    };
  }

  /** The model's limits, or what is left of them for the request, with the adapter's own tokens. */
  limits(request: Pick<GenerateRequest, 'maxContext'>, adapter: AdapterVersion | undefined): ModelLimits {
    const { maxContext, vocabSize } = this.options.model.base;
    return limitsFor(request, { maxContext, vocabSize: adapter?.manifest.vocabSize ?? vocabSize });
  }

  /** Undefined: the answer is text, whatever it holds. */
  #formats({ wantedFormats }: GenerateRequest, { chat }: ReadPrompt): ResolvedFormats | undefined {
    return wantedFormats && chat && formatsOf(wantedFormats, chat, this.options.settings);
  }
}
