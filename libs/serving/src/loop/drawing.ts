import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { OpenedModel } from '../model-opening.js';
import type { AdapterVersion } from '../residency/adapter-residency.js';
import { isHidden } from '../text/detokenizer.js';
import { middleEnds } from '../text/fill-in-middle.js';
import type { StopOptions } from './stop-rule.js';
import { TokenBans } from './token-bans.js';

export interface Drawn {
  readonly request: GenerateRequest;
  readonly adapter: AdapterVersion | undefined;
  readonly maxTokens: number;
  readonly badWords: readonly (readonly number[])[];
  /** Spellings of special tokens that have to be seen. */
  readonly shown: readonly string[] | undefined;
  /** Whether the answer is held to a structure. */
  readonly structured: boolean;
}

/**
 * What ends the request's answers and what is never drawn in them; refuses a request that could draw nothing. `markTokens`:
 * special tokens that answers may show.
 */
export function drawingOf(
  { request, adapter, maxTokens, badWords, shown, structured }: Drawn,
  { tokenizer, eosTokenIds }: Pick<OpenedModel, 'tokenizer' | 'eosTokenIds'>,
  markTokens: ReadonlySet<number>,
): { stops: StopOptions; bans: TokenBans } {
  const { shownSpecialTokens: wanted, allowedTokenIds } = request;
  const stops = {
    ...request,
    maxTokens,
    // Nothing may follow the end of a structure.
    ignoreEos: request.ignoreEos && !structured,
    eosTokenIds: [
      ...eosTokenIds,
      ...(adapter?.manifest.generation?.eosTokenIds ?? []),
      ...(request.input.kind === 'text' && request.input.suffix !== undefined ? middleEnds(tokenizer) : []),
    ],
    shown: wanted === 'all' ? wanted : tokenizer.idsOf([...(wanted ?? []), ...(shown ?? [])]),
  };
  const hidden = structured
    ? [...markTokens].filter(
        (token) => isHidden(tokenizer, stops.shown, token) && !stops.eosTokenIds.includes(token),
      )
    : [];
  const bans = new TokenBans({
    logitBias: request.sampling.logitBias,
    badWords: [...badWords, ...hidden.map((token) => [token])],
  });
  const endings = request.minTokens > 0 ? [...stops.eosTokenIds, ...request.stopTokenIds] : [];
  if (allowedTokenIds !== undefined && !bans.leavesOneOf(allowedTokenIds, endings)) {
    throw new AppError('invalid_request', {
      message: 'Each of allowed_token_ids must not be drawn by bad_words or min_tokens: no token is left.',
      param: 'allowed_token_ids',
    });
  }
  return { stops, bans };
}
