import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { ChatInput, ChatTemplates } from './chat-template.js';
import { FairTurns } from './fair-turns.js';
import { type EncodedText, type Tokenizer, TooManyTokensError } from './tokenizer.js';

/** Encoding runs on the process's pool of four threads, on which files are read, too. */
const ENCODINGS = 3;
const ENCODINGS_PER_CALLER = 2;
const WAITING_PER_CALLER = 1_024;

/** Members, braces and escapes of a conversation's JSON beside the text itself. */
const JSON_OVERHEAD = 8;

export interface PromptReaderOptions {
  readonly tokenizer: Tokenizer;
  readonly templates: ChatTemplates;
  /** Tokens that prompt and completion may have in all. */
  readonly maxContext: number;
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

  async read(
    { input, fairnessKey, maxContext }: Pick<GenerateRequest, 'input' | 'fairnessKey' | 'maxContext'>,
    manifest: AdapterManifest | undefined,
  ): Promise<EncodedText> {
    const limitTokens = Math.min(maxContext ?? this.options.maxContext, this.options.maxContext);
    if (input.kind === 'tokens') {
      if (input.tokens.length > limitTokens) throw tooManyTokens(input.tokens.length, limitTokens);
      return { ids: Int32Array.from(input.tokens), added: new Uint8Array(input.tokens.length) };
    }
    const { tokenizer, templates } = this.options;
    if (input.kind === 'text') {
      this.#checkLength(input.text.length, limitTokens);
      return this.#inTurn(fairnessKey, limitTokens, () =>
        tokenizer.encode(input.text, input.addSpecialTokens ?? true, limitTokens),
      );
    }
    this.#checkConversation(input, limitTokens);
    const prompt = await templates.render(input, manifest, fairnessKey);
    if (!prompt.respelled) this.#checkLength(prompt.text.length, limitTokens);
    // A rendered chat carries its own BOS: encoding must not add another.
    return this.#inTurn(fairnessKey, limitTokens, () => tokenizer.encodeGuarded(prompt, limitTokens));
  }

  /** No token stands for more characters than the longest, so that length alone tells that a text cannot fit. */
  #checkLength(characters: number, limitTokens: number): void {
    if (characters <= limitTokens * this.options.tokenizer.longestToken) return;
    throw new AppError('context_length_exceeded', {
      message: `The prompt has ${characters} characters; that cannot fit the ${limitTokens} tokens of the model's context.`,
      param: 'prompt',
    });
  }

  /** Before it is rendered. Every message is at least one token. */
  #checkConversation({ messageCount, conversation }: ChatInput, limitTokens: number): void {
    if (messageCount > limitTokens) {
      throw new AppError('context_length_exceeded', {
        message: `The chat has ${messageCount} messages; that cannot fit the ${limitTokens} tokens of the model's context.`,
        param: 'prompt',
      });
    }
    this.#checkLength(Math.floor(conversation.length / JSON_OVERHEAD), limitTokens);
  }

  async #inTurn(
    caller: string,
    limitTokens: number,
    encode: () => Promise<EncodedText>,
  ): Promise<EncodedText> {
    const waiting = this.#turns.take(caller);
    if (waiting === undefined) throw new AppError('overloaded');
    const turn = await waiting;
    try {
      return await encode();
    } catch (error) {
      if (error instanceof TooManyTokensError) throw tooManyTokens(error.tokens, limitTokens);
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
