import { AppError } from '#runtime/app-error.js';
import type { Ask, LimitKind, Refusal, Subject } from './limit-store.js';

/** A running request must end first; nobody knows when. */
const CONCURRENCY_RETRY_S = 1;

const WORDS: Readonly<
  Record<LimitKind, { readonly of: string; readonly limit: (of: Subject) => number | undefined }>
> = {
  requests: { of: 'requests per minute', limit: ({ limits }) => limits.requests_per_minute },
  tokens: { of: 'tokens per minute', limit: ({ limits }) => limits.tokens_per_minute },
  concurrency: { of: 'concurrent requests', limit: ({ limits }) => limits.concurrent_requests },
};

/** For a request that may use more than a whole minute's tokens; undefined where it may be admitted some time. */
export function impossibleError(subjects: readonly Subject[], tokens: number): AppError | undefined {
  for (const { kind, limits } of subjects) {
    if (limits.tokens_per_minute === undefined || tokens <= limits.tokens_per_minute) continue;
    return new AppError('rate_limit_exceeded', {
      message:
        `The request may use ${tokens} tokens, more than the ${kind}'s limit of ${limits.tokens_per_minute} tokens ` +
        'per minute ever allows: shorten the prompt or lower max_tokens.',
      param: 'max_tokens',
      retryable: false, // only another request or another limit helps
    });
  }
  return undefined;
}

/** Says which limit was met, of whom, and when to try again. */
export function refusalError(
  { subjects, tokens }: Ask,
  { subject: index, kind, wait_ms }: Refusal,
): AppError {
  const subject = subjects[index];
  if (!subject) throw new Error('a refusal names one of its subjects');
  const limit = WORDS[kind].limit(subject);
  const wanted = kind === 'tokens' ? ` The request may use ${tokens}.` : '';
  const retryAfter_s = wait_ms === undefined ? CONCURRENCY_RETRY_S : wait_ms / 1000;
  const again = wait_ms === undefined ? '' : ` Try again in ${retryAfter_s.toFixed(3)} s.`;
  return new AppError('rate_limit_exceeded', {
    message: `The ${subject.kind}'s limit of ${limit} ${WORDS[kind].of} is reached.${wanted}${again}`,
    retryAfter_s,
  });
}
