import type { BaseModel } from '#contracts/base-model.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';

/** What one choice asks of the engine; who asks, and with which adapter, is added when it is sent. */
export type SequenceRequest = Omit<GenerateRequest, 'requestId' | 'cacheSalt' | 'fairnessKey' | 'adapter'>;

/** One token sequence to generate. */
export interface Sequence {
  /** Index of its prompt: sequences of one prompt are alternatives. */
  readonly prompt: number;
  readonly request: SequenceRequest;
}

/** One API request as generations. */
export interface GenerationPlan {
  readonly model: string;
  readonly user: string | undefined;
  readonly sequences: readonly Sequence[];
}

/** Refuses token ids that the base model does not know, with the field that holds them. */
export function checkTokenIds({ sequences }: GenerationPlan, { vocabSize }: BaseModel): void {
  const check = (param: string, ids: readonly number[]) => {
    const unknown = ids.find((id) => id >= vocabSize);
    if (unknown === undefined) return;
    const message = `${param}: token id ${unknown} is not in the model's vocabulary of ${vocabSize} tokens`;
    throw new AppError('invalid_request', { message, param });
  };
  for (const { request } of sequences) {
    if (request.input.kind === 'tokens') check('prompt', request.input.tokens);
    check('stop_token_ids', request.stopTokenIds);
    const bias = request.sampling.logitBias.map(({ token }) => token);
    check('logit_bias', bias);
  }
}
