import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { TenantsService } from '#accounts/tenants.service.js';
import { ChatRequestSchema } from '#contracts/openai/chat-request.js';
import { CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { ofOneModel } from '#contracts/openai/many-models.js';
import { contentOf } from '#inference/answers/answer-content.js';
import { InferenceService } from '#inference/life/inference.service.js';
import { planChat } from '#inference/plan/chat-plan.js';
import { planCompletion } from '#inference/plan/completion-plan.js';
import type { GenerationPlan } from '#inference/plan/generation-plan.js';
import type { Question } from '#pipelines/hooks/pipeline-ports.js';

/** Under which "key" the usage of evaluations stands. */
const EVALUATION_KEY_ID = 'evaluation';

/** Asks one version one question, as a request of its tenant would. No rate limit holds it back. */
@Injectable()
export class VersionAnswers {
  constructor(
    private readonly inference: InferenceService,
    private readonly tenants: TenantsService,
  ) {}

  /** The greedy answer. */
  async ask(question: Question, signal: AbortSignal): Promise<string> {
    const tenant = await this.tenants.find(question.address.tenantId);
    const controller = new AbortController();
    const forward = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', forward, { once: true });
    if (signal.aborted) forward();
    try {
      const { events } = await this.inference.start({
        plan: planOf(question),
        caller: { keyId: EVALUATION_KEY_ID, tenant, heldToo: true },
        requestId: `evaluation-${randomUUID()}`,
        controller,
      });
      return await contentOf(events);
    } finally {
      signal.removeEventListener('abort', forward);
    }
  }
}

/** What the same question would be in a request to the API. */
function planOf({ address, case: asked, maxTokens: max_tokens }: Question): GenerationPlan {
  const { prompt = '', messages } = asked;
  const model = `${address.adapter}@${address.version}`;
  const fields = { model, max_tokens, temperature: 0 };
  return messages
    ? planChat(ofOneModel(ChatRequestSchema.parse({ ...fields, messages }), model))
    : planCompletion(ofOneModel(CompletionRequestSchema.parse({ ...fields, prompt }), model));
}
