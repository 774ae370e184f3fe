import { createHash } from 'node:crypto';
import type { EvaluationCase } from '#contracts/promotion.js';

/** Hex SHA-256 over the prompts in a fixed order of members, so that it depends on what is asked and nothing else. */
export function digestOf(prompts: readonly EvaluationCase[]): string {
  const canonical = prompts.map(({ prompt, messages, expected, match }) => [
    prompt ?? null,
    messages?.map(({ role, content }) => [role, content]) ?? null,
    expected,
    match,
  ]);
  return createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
}
