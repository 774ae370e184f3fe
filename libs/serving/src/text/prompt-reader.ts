import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { ChatTemplates } from './chat-template.js';
import type { EncodedText, Tokenizer } from './tokenizer.js';

/** Turns a request's input into tokens. Rendering and encoding run on other threads. */
export class PromptReader {
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly templates: ChatTemplates,
    /** Longer text cannot fit the context, so it is refused before it is encoded. */
    private readonly limitCharacters: number,
  ) {}

  async read(input: GenerateRequest['input'], manifest: AdapterManifest | undefined): Promise<EncodedText> {
    if (input.kind === 'tokens') {
      return { ids: Int32Array.from(input.tokens), added: new Uint8Array(input.tokens.length) };
    }
    if (input.kind === 'text') return this.#encode(input.text, input.addSpecialTokens ?? true);
    // A rendered chat carries its own BOS: encoding must not add another.
    return this.#encode(await this.templates.render(input, manifest), false);
  }

  async #encode(text: string, addSpecial: boolean): Promise<EncodedText> {
    if (text.length > this.limitCharacters) {
      throw new AppError('context_length_exceeded', {
        message: `The prompt has ${text.length} characters; that cannot fit the model's context.`,
        param: 'prompt',
      });
    }
    return this.tokenizer.encode(text, addSpecial);
  }
}
