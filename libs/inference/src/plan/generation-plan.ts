import type { WantedFormats } from '#contracts/chat-formats.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';

/** What one choice asks of the engine; who asks, and with which adapter, is added when it is sent. */
export type SequenceRequest = Omit<
  GenerateRequest,
  'requestId' | 'cacheSalt' | 'fairnessKey' | 'fairnessWeight' | 'adapter' | 'adapterScale' | 'maxContext'
>;

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
  /** Cached prefixes are shared only with requests of the tenant that say the same. */
  readonly cacheSalt?: string | undefined;
  /** What the adapter's deltas are multiplied by; absent: 1. */
  readonly loraScale?: number | undefined;
  readonly sequences: readonly Sequence[];
  /** Of vectors: how many of their numbers are wanted. */
  readonly dimensions?: number | undefined;
  /** What the request calls its prompts. */
  readonly promptField: 'prompt' | 'messages' | 'input' | 'documents' | 'items' | 'text_2' | 'data_2';
}

/** What a version says of its answers goes before what its template shows. */
export function formatsFor(
  { wantedFormats }: SequenceRequest,
  said: Partial<WantedFormats> | undefined,
): Pick<SequenceRequest, 'wantedFormats'> {
  return wantedFormats ? { wantedFormats: { ...wantedFormats, ...said } } : {};
}
