import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { ChatInput, ChatTemplates } from './chat-template.js';
import type { RenderedChat } from './chat-formats.js';
import { FairTurns } from './fair-turns.js';
import { encodeMiddle } from './fill-in-middle.js';
import type { AdapterTokenizers } from './adapter-tokenizers.js';
import { type EncodedText, TooManyTokensError } from './text-coder.js';
import type { Tokenizer } from './tokenizer.js';

/** Encoding runs on the process's pool of four threads, on which files are read, too. */
const ENCODINGS = 3;
const ENCODINGS_PER_CALLER = 2;
const WAITING_PER_CALLER = 1_024;

/** Tokens of a text that are read at most where it need not fit the context: to be counted, or to be cut. */
const MOST_READ_TOKENS = 262_144;

/** Members, braces and escapes of a conversation's JSON beside the text itself. */
const JSON_OVERHEAD = 8;

export interface PromptReaderOptions {
  readonly tokenizers: AdapterTokenizers;
  readonly templates: ChatTemplates;
  /** Tokens that prompt and completion may have in all. */
  readonly maxContext: number;
}

type Asked = Pick<GenerateRequest, 'input' | 'fairnessKey' | 'maxContext' | 'keepPromptTokens' | 'maxTokens'>;

export interface ReadPrompt extends EncodedText {
  /** Undefined: it was no chat. */
  readonly chat?: RenderedChat;
}

interface Limit {
  readonly tokens: number;
  /** What is said of a prompt that has more. */
  readonly tooMany: (tokens: number) => AppError;
}

/** Turns a request's input into tokens. Rendering and encoding run on other threads, in fair turns. */
export class PromptReader {
  readonly #turns = new FairTurns({
    slots: ENCODINGS,
    slotsPerCaller: ENCODINGS_PER_CALLER,
    waitingPerCaller: WAITING_PER_CALLER,
    now: () => performance.now(),
  });

  constructor(private readonly options: PromptReaderOptions) {}

  /** What the request computes: refused where it cannot fit the context, cut where the request says so. */
  async read(asked: Asked, manifest: AdapterManifest | undefined): Promise<ReadPrompt> {
    const context = Math.min(asked.maxContext ?? this.options.maxContext, this.options.maxContext);
    const { keepPromptTokens: kept } = asked;
    if (kept === undefined) {
      return this.#read(asked, manifest, {
        tokens: context,
        tooMany: (tokens) => tooManyTokens(tokens, context),
      });
    }
    const all = await this.tokenize(asked, manifest);
    return cutTo(all, kept === 'room' ? Math.max(1, context - (asked.maxTokens ?? 1)) : kept);
  }

  /** All tokens of the input, also where they are more than the context has. */
  tokenize(
    asked: Pick<Asked, 'input' | 'fairnessKey'>,
    manifest: AdapterManifest | undefined,
  ): Promise<ReadPrompt> {
    const most = Math.max(MOST_READ_TOKENS, this.options.maxContext);
    return this.#read(asked, manifest, { tokens: most, tooMany: (tokens) => tooLong(tokens, most) });
  }

  /** Of text that is not a prompt: short, and without special tokens. */
  async encodePlain(
    text: string,
    caller: string,
    manifest: AdapterManifest | undefined,
  ): Promise<readonly number[]> {
    const tokenizer = await this.options.tokenizers.of(manifest, caller);
    return [...(await tokenizer.encode(text, false)).ids];
  }

  /** The answer that a caller expects. Refused where no answer could have as many tokens. */
  async readPrediction(
    { prediction = '', fairnessKey }: Pick<GenerateRequest, 'prediction' | 'fairnessKey'>,
    manifest: AdapterManifest | undefined,
  ): Promise<Int32Array | undefined> {
    if (prediction === '') return undefined;
    const { tokenizers, maxContext: tokens } = this.options;
    const tokenizer = await tokenizers.of(manifest, fairnessKey);
    const tooMany = (count: number, of = 'tokens') =>
      new AppError('context_length_exceeded', {
        message: `The prediction has ${count} ${of}; an answer has at most ${tokens} tokens.`,
        param: 'prediction',
      });
    if (prediction.length > tokens * tokenizer.longestToken) throw tooMany(prediction.length, 'characters');
    const encode = () => tokenizer.encode(prediction, false, tokens);
    return (await this.#inTurn(fairnessKey, { tokens, tooMany }, encode)).ids;
  }

  async #read(
    { input, fairnessKey }: Pick<Asked, 'input' | 'fairnessKey'>,
    manifest: AdapterManifest | undefined,
    limit: Limit,
  ): Promise<ReadPrompt> {
    if (input.kind === 'tokens') {
      if (input.tokens.length > limit.tokens) throw limit.tooMany(input.tokens.length);
      return { ids: Int32Array.from(input.tokens), added: new Uint8Array(input.tokens.length) };
    }
    const { tokenizers, templates } = this.options;
    const tokenizer = await tokenizers.of(manifest, fairnessKey);
    if (input.kind === 'text') {
      const { text, suffix, addSpecialTokens = true } = input;
      this.#checkLength(tokenizer, text.length + (suffix?.length ?? 0), limit.tokens);
      if (suffix !== undefined) {
        const middle = { prefix: text, suffix, addSpecialTokens };
        return this.#inTurn(fairnessKey, limit, () => encodeMiddle(tokenizer, middle, limit.tokens));
      }
      return this.#inTurn(fairnessKey, limit, () => tokenizer.encode(text, addSpecialTokens, limit.tokens));
    }
    this.#checkConversation(tokenizer, input, limit.tokens);
    const guard = tokenizer === tokenizers.base ? undefined : tokenizer.renderData;
    const prompt = await templates.render(input, { manifest, guard, caller: fairnessKey });
    if (!prompt.respelled) this.#checkLength(tokenizer, prompt.text.length, limit.tokens);
    // A rendered chat carries its own BOS: encoding must not add another.
    const encoded = await this.#inTurn(fairnessKey, limit, () =>
      tokenizer.encodeGuarded(prompt, limit.tokens),
    );
    const { text, source, own } = prompt;
    return { ...encoded, chat: { text, source, own, continues: input.continueFinalMessage ?? false } };
  }

  /** No token stands for more characters than the longest, so that length alone tells that a text cannot fit. */
  #checkLength({ longestToken }: Tokenizer, characters: number, limitTokens: number): void {
    if (characters <= limitTokens * longestToken) return;
    throw new AppError('context_length_exceeded', {
      message: `The prompt has ${characters} characters; that cannot fit the ${limitTokens} tokens of the model's context.`,
      param: 'prompt',
    });
  }

  /** Before it is rendered. Every message is at least one token. */
  #checkConversation(
    tokenizer: Tokenizer,
    { messageCount, conversation }: ChatInput,
    limitTokens: number,
  ): void {
    if (messageCount > limitTokens) {
      throw new AppError('context_length_exceeded', {
        message: `The chat has ${messageCount} messages; that cannot fit the ${limitTokens} tokens of the model's context.`,
        param: 'prompt',
      });
    }
    this.#checkLength(tokenizer, Math.floor(conversation.length / JSON_OVERHEAD), limitTokens);
  }

  async #inTurn(caller: string, limit: Limit, encode: () => Promise<EncodedText>): Promise<EncodedText> {
    const waiting = this.#turns.take(caller);
    if (waiting === undefined) throw new AppError('overloaded');
    const turn = await waiting;
    try {
      return await encode();
    } catch (error) {
      if (error instanceof TooManyTokensError) throw limit.tooMany(error.tokens);
      throw error;
    } finally {
      turn.release();
    }
  }
}

function tooManyTokens(tokens: number, limitTokens: number): AppError {
  return new AppError('context_length_exceeded', {
    message: `The prompt has ${tokens} tokens, but prompt and completion may have ${limitTokens} in all.`,
    param: 'prompt',
  });
}

function tooLong(tokens: number, most: number): AppError {
  return new AppError('context_length_exceeded', {
    message: `The text has ${tokens} tokens; at most ${most} are read.`,
    param: 'prompt',
  });
}

function cutTo(prompt: ReadPrompt, count: number): ReadPrompt {
  const { ids, added } = prompt;
  if (ids.length <= count) return prompt;
  return { ...prompt, ids: ids.slice(-count), added: added.slice(-count) };
}
