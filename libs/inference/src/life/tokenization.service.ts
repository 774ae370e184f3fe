import { Injectable } from '@nestjs/common';
import type { TokenizeRequest as EngineInput } from '#contracts/engine-protocol.js';
import type {
  DetokenizeRequest,
  DetokenizeResponse,
  TokenizeRequest,
  TokenizeResponse,
} from '#contracts/openai/tokenize.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { chatInputOf } from '../plan/chat-plan.js';
import type { Asker } from './asker.js';
import { ServedModels } from './served-models.service.js';

/** Tells the tokens of what a model would be asked, and the text of tokens. Nothing is computed, and nothing metered. */
@Injectable()
export class TokenizationService {
  constructor(
    private readonly fleet: EngineFleet,
    private readonly models: ServedModels,
  ) {}

  async tokenize(request: TokenizeRequest, asker: Asker, signal: AbortSignal): Promise<TokenizeResponse> {
    const { tenant } = asker;
    const { base, parts } = await this.models.find(asker, named(request), signal);
    const [first] = parts;
    const { tokens, names } = await this.fleet.tokenize(
      {
        fairnessKey: tenant.id,
        input: inputOf(request),
        returnNames: request.return_token_strs ?? false,
        ...(first ? { adapter: first.version.digest } : {}),
      },
      signal,
    );
    return {
      count: tokens.length,
      max_model_len: Math.min(base.maxContext, tenant.quotas.max_context ?? base.maxContext),
      tokens,
      token_strs: names ?? null,
    };
  }

  async detokenize(
    request: DetokenizeRequest,
    asker: Asker,
    signal: AbortSignal,
  ): Promise<DetokenizeResponse> {
    await this.models.find(asker, named(request), signal); // every adapter has the base model's tokenizer
    const { text } = await this.fleet.detokenize({ tokens: request.tokens }, signal);
    return { prompt: text };
  }
}

function named({ model, user }: Pick<TokenizeRequest, 'model' | 'user'>) {
  return { model: model ?? undefined, user: user ?? undefined };
}

function inputOf({ messages, prompt, add_special_tokens, ...chat }: TokenizeRequest): EngineInput['input'] {
  if (messages) return chatInputOf({ ...chat, messages });
  const plain = add_special_tokens === false ? { addSpecialTokens: false } : {};
  return { kind: 'text', text: prompt ?? '', ...plain };
}
