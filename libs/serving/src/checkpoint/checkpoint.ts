import type { BaseModel } from '#contracts/base-model.js';
import type { ModelInspection } from '#native-engine/native.js';
import type { AppError } from '#runtime/app-error.js';
import type { Pooling } from '../pooling.js';
import type { NamedTemplates } from '../text/chat-template.js';
import type { TokenizerSource } from '../text/tokenizer.js';

/** A model's files: a folder as Transformers writes it, or a GGUF file. */
export interface Checkpoint {
  readonly inspection: ModelInspection;
  readonly tokenizer: TokenizerSource;
  readonly templates: NamedTemplates;
  /** Tokens that end a generation, beside the network's own and the tokenizer's. */
  readonly eosTokenIds: readonly number[];
  /** How texts become vectors; an error: why they do not. */
  readonly pooling: Pooling | AppError;
  readonly heads: Heads;
}

/** Of the attention; nothing where the checkpoint does not say. */
export type Heads = Pick<BaseModel, 'heads' | 'keyHeads'>;

export type InspectNative = (modelPath: string) => ModelInspection;
