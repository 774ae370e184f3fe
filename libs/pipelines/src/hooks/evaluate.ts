import type { EvaluationPolicy, EvaluationResult } from '#contracts/promotion.js';
import { ERROR_TABLE } from '#contracts/errors.js';
import { AppError } from '#runtime/app-error.js';
import { type GivenAnswer, judge, type Verdict, verdictOf } from './evaluation.js';
import type { PipelinePorts, Question, VersionAddress } from './pipeline-ports.js';

/** An evaluation must not crowd out those who wait for answers. */
const AT_ONCE = 4;

/** Asks the version every prompt of the policy, and judges the answers. */
export async function evaluate(
  ports: Pick<PipelinePorts, 'answer'>,
  address: VersionAddress,
  policy: EvaluationPolicy,
  signal: AbortSignal,
): Promise<{ results: EvaluationResult[]; verdict: Verdict }> {
  const results: EvaluationResult[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < policy.prompts.length; index = next++) {
      const question = policy.prompts[index];
      if (!question) return;
      const answer = await ask(ports, { address, case: question, maxTokens: policy.max_tokens }, signal);
      results[index] = judge(index, question, answer);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { results, verdict: verdictOf(policy, results) };
}

/** What is wrong with the prompt itself counts as a failed prompt; a fault that passes ends the try. */
async function ask(
  ports: Pick<PipelinePorts, 'answer'>,
  question: Question,
  signal: AbortSignal,
): Promise<GivenAnswer> {
  try {
    return { text: await ports.answer(question, signal) };
  } catch (error) {
    if (!(error instanceof AppError) || ERROR_TABLE[error.code].retryable) throw error;
    return { error: error.message };
  }
}
