import type { EvaluationCase } from '#contracts/promotion.js';

/** Whether an answer is what was expected, by the rule of the server's own evaluations. */
export function matches(
  answer: string,
  { expected, match }: Pick<EvaluationCase, 'expected' | 'match'>,
): boolean {
  if (match === 'exact') return answer.trim() === expected.trim();
  if (match === 'contains') return answer.includes(expected);
  try {
    return new RegExp(expected, 'u').test(answer);
  } catch {
    return false;
  }
}
