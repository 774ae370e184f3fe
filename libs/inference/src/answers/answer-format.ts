import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { ErrorEnvelope } from '#contracts/errors.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';

/** What every object of one answer says of itself. */
export interface AnswerHead {
  /** Without the prefix of its kind. */
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  /** As the request wrote it. */
  readonly model: string;
  readonly system_fingerprint: string;
}

/** Turns engine events into the objects of one API: call either `chunks` for each event and then `closing`, or `add` and then `whole`. */
export interface AnswerFormat {
  /** `usage`: of the request so far. */
  chunks(sequence: number, event: GenerateEvent, usage: () => CompletionUsage): object[];
  /** What ends a stream that is complete, after all chunks. */
  closing(usage: CompletionUsage): object[];
  /** What ends a stream that fails; absent: the error's envelope does. */
  failing?(error: ErrorEnvelope): object[];
  add(sequence: number, event: GenerateEvent): void;
  whole(usage: CompletionUsage): object;
}
