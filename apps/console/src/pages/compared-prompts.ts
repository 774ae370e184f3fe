import type { EvaluationSetResource } from '#contracts/evaluation-sets-api.js';
import type { EvaluationCase } from '#contracts/promotion.js';

/** One prompt of the comparison: a chat's turns, and what is expected of the answer, if anything. */
export interface ComparedPrompt {
  /** Its place in the list. */
  readonly key: string;
  /** What is shown and, where there is no set, typed. */
  readonly text: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** As the set has it; absent: typed here. */
  readonly original?: EvaluationCase;
  /** Empty: not scored by rule. */
  readonly expected: string;
  readonly match: EvaluationCase['match'];
}

export type Expectation = Pick<ComparedPrompt, 'expected' | 'match'>;
export const NO_EXPECTATION: Expectation = { expected: '', match: 'contains' };

/** The prompts of a text with one on each line. */
export function promptsOf(
  text: string,
  expectations: Readonly<Record<string, Expectation>>,
): ComparedPrompt[] {
  return [...new Set(text.split('\n').filter((line) => line.trim() !== ''))].map((line) => ({
    key: line,
    text: line,
    messages: [{ role: 'user', content: line }],
    ...(expectations[line] ?? NO_EXPECTATION),
  }));
}

/** A set as the page holds it: its prompts on lines where they are, else in the list as they stand. */
export function loadedPrompts({ prompts }: EvaluationSetResource): ComparedPrompt[] {
  return prompts.map((original, index) => {
    const messages = original.messages ?? [{ role: 'user', content: original.prompt ?? '' }];
    const text = messages.map(({ content }) => content).join('\n');
    const { expected, match } = original;
    return { key: `${index} ${text}`, text, messages, original, expected, match };
  });
}

/** What is saved: only prompts of which something is expected can be judged later. */
export function casesOf(prompts: readonly ComparedPrompt[]): EvaluationCase[] {
  return prompts
    .filter(({ expected }) => expected !== '')
    .map(({ original, messages, expected, match }) =>
      original
        ? { ...original, expected, match }
        : { messages: messages as EvaluationCase['messages'], expected, match },
    );
}
