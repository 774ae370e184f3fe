import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { AnswerFormat, AnswerHead } from '#inference/answers/answer-format.js';
import type { ModelPart } from '#inference/answers/many-models-format.js';
import type { Generation, InferenceService } from '#inference/life/inference.service.js';
import { AppError, toEnvelope } from '#runtime/app-error.js';
import type { Merged } from '#runtime/merge-streams.js';
import type { Question } from './answer.service.js';
import { answerFault } from './answer-fault.js';

const NOTHING_USED: CompletionUsage = {
  prompt_tokens: 0,
  completion_tokens: 0,
  total_tokens: 0,
  prompt_tokens_details: { cached_tokens: 0 },
};

interface Begun {
  readonly generation: Generation;
  readonly format: AnswerFormat;
}

/** One of several models that are asked the same, and how far its answer is. */
export class ModelAnswer {
  readonly #controller = new AbortController();
  /** Undefined, last, where it fails. */
  readonly events: AsyncGenerator<Merged<GenerateEvent> | undefined, void>;
  #begun: Begun | undefined;
  #fault: AppError | undefined;

  constructor(private readonly question: Question) {
    this.events = this.#read();
  }

  /** Never rejects: what is wrong is the answer's fault. */
  async start(
    inference: InferenceService,
    {
      requestId,
      client,
      head,
    }: { requestId: string; client: AbortSignal; head: Pick<AnswerHead, 'id' | 'created'> },
  ): Promise<void> {
    const { plan, caller, format } = this.question;
    const controller = this.#controller;
    const leave = (): void => controller.abort(client.reason);
    client.addEventListener('abort', leave, { once: true });
    if (client.aborted) leave();
    try {
      const generation = await inference.start({ plan, caller, requestId, controller });
      this.#begun = { generation, format: format({ ...generation.head, ...head }) };
    } catch (error) {
      this.#fault = answerFault(error);
    }
  }

  /** To be called at the end, however far it was read: so it stops, and is metered. */
  async leave(): Promise<void> {
    this.#controller.abort(new AppError('client_closed_request'));
    await this.events.next(); // what was never asked for has no end either
    await this.events.return();
  }

  async *#read(): AsyncGenerator<Merged<GenerateEvent> | undefined, void> {
    if (!this.#begun) return;
    try {
      yield* this.#begun.generation.events;
    } catch (error) {
      this.#fault = answerFault(error);
      yield undefined;
    }
  }

  get fault(): AppError | undefined {
    return this.#fault;
  }

  get format(): AnswerFormat | undefined {
    return this.#begun?.format;
  }

  get part(): ModelPart {
    const { plan } = this.question;
    const begun = this.#begun;
    return {
      model: plan.model,
      usage: begun?.generation.usage() ?? NOTHING_USED,
      begun: begun && {
        format: begun.format,
        system_fingerprint: begun.generation.head.system_fingerprint,
      },
      error: this.#fault && toEnvelope(this.#fault).body.error,
    };
  }
}
