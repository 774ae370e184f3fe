import type { OpenedModel } from '../model-opening.js';
import type { DraftModel } from './draft-model.js';
import { DraftPolicy, type WhenToDraft } from './draft-policy.js';
import { Drafter, type DrafterOptions } from './drafter.js';

interface Drafting extends Pick<DrafterOptions, 'limits' | 'logger' | 'maskMemory'> {
  readonly model: OpenedModel;
  readonly draft: DraftModel;
  /** Undefined: where it is measured to pay. */
  readonly policy: WhenToDraft | undefined;
}

export function makeDrafter({ model, draft, policy, limits, logger, maskMemory }: Drafting): Drafter {
  const { weightBytes } = model.native.description;
  const costShare = draft.native.description.weightBytes / Math.max(1, weightBytes);
  return new Drafter({
    model: draft,
    policy: policy ?? new DraftPolicy(costShare),
    limits,
    maskedTokens: model.base.vocabSize + (model.base.extraTokens ?? 0),
    logger,
    maskMemory,
  });
}
