import type { GenerateRequest } from '#contracts/engine-protocol.js';
import {
  DEFAULT_MODEL_SPECULATION,
  DEFAULT_SPECULATION,
  type ModelSpeculation,
  type NgramSpeculation,
} from './speculation.js';

/** What drafts a request's tokens. */
export interface WantedDrafts {
  readonly ngram: NgramSpeculation | undefined;
  readonly model: ModelSpeculation | undefined;
}

export type SpeculationSetting = 'auto' | 'off' | 'ngram' | 'draft';

/** As the request says, else as the engine is set; what the engine does not have is no fault. */
export function wantedDrafts(
  asked: GenerateRequest['speculation'],
  set: SpeculationSetting,
  hasModel: boolean,
): WantedDrafts {
  if (asked !== undefined) return { ngram: asked.ngram, model: hasModel ? asked.draft : undefined };
  const byModel = hasModel && (set === 'draft' || set === 'auto');
  const byText = set === 'ngram' || set === 'draft';
  return {
    ngram: byText ? DEFAULT_SPECULATION : undefined,
    model: byModel ? DEFAULT_MODEL_SPECULATION : undefined,
  };
}
