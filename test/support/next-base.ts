import type { BaseModel } from '#contracts/base-model.js';
import { goldenBase } from './golden-base.js';

export const OLD_BASE = goldenBase('llama-gqa');

/** The same network with eight more tokens: what replaces the output head fits no more. */
export const NEXT_BASE: BaseModel = {
  ...OLD_BASE,
  name: 'llama-next',
  digest: 'b2'.repeat(32),
  vocabSize: OLD_BASE.vocabSize + 8,
  modules: OLD_BASE.modules.map((module) =>
    /^(lm_head|model\.embed_tokens)$/.test(module.name) ? { ...module, out: module.out + 8 } : module,
  ),
};
