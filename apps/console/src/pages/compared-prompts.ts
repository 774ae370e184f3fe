import type { EvaluationSetResource } from '#contracts/evaluation-sets-api.js';
import type { EvaluationCase } from '#contracts/promotion.js';

/** One prompt of the comparison: text to go on from or a chat's turns, and what is expected of the answer, if anything. */
export interface ComparedPrompt {
  /** Its place in the list; stays when it is edited. */
  readonly key: string;
  /** All of it, as it is shown. */
  readonly text: string;
  /** `plain`: text to go on from; else a chat. */
  readonly plain?: string;
  readonly messages: NonNullable<EvaluationCase['messages']>;
  /** Empty: not scored by rule. */
  readonly expected: string;
  readonly match: EvaluationCase['match'];
}

export type Expectation = Pick<ComparedPrompt, 'expected' | 'match'>;
export const NO_EXPECTATION: Expectation = { expected: '', match: 'contains' };

function comparedPrompt(
  key: string,
  asked: Partial<EvaluationCase>,
  { expected, match }: Expectation,
): ComparedPrompt {
  const { prompt, messages = [{ role: 'user', content: prompt ?? '' }] } = asked;
  const text = messages.map(({ content }) => content).join('\n');
  return { key, text, messages, ...(prompt === undefined ? {} : { plain: prompt }), expected, match };
}

/** The prompts of a text with one on each line. */
export function promptsOf(
  text: string,
  expectations: Readonly<Record<string, Expectation>>,
): ComparedPrompt[] {
  return [...new Set(text.split('\n').filter((line) => line.trim() !== ''))].map((line) =>
    comparedPrompt(
      line,
      { messages: [{ role: 'user', content: line }] },
      expectations[line] ?? NO_EXPECTATION,
    ),
  );
}

/** A saved set's, in its order. */
export function loadedPrompts({ prompts }: EvaluationSetResource): ComparedPrompt[] {
  return prompts.map((asked, index) => comparedPrompt(String(index), asked, asked));
}

export function emptyPrompt(key: string): ComparedPrompt {
  return comparedPrompt(key, { messages: [{ role: 'user', content: '' }] }, NO_EXPECTATION);
}

/** What of it is edited: the text to go on from, or the last thing that the user says. */
export function editable({ plain, messages }: ComparedPrompt): string {
  return plain ?? messages[lastOfUser(messages)]?.content ?? '';
}

export function edited(prompt: ComparedPrompt, content: string): ComparedPrompt {
  const { key, plain, messages } = prompt;
  if (plain !== undefined) return comparedPrompt(key, { prompt: content }, prompt);
  const at = lastOfUser(messages);
  const changed = messages.map((message, index) => (index === at ? { ...message, content } : message));
  return comparedPrompt(key, { messages: changed }, prompt);
}

function lastOfUser(messages: ComparedPrompt['messages']): number {
  const at = messages.findLastIndex(({ role }) => role === 'user');
  return at < 0 ? messages.length - 1 : at;
}

/** What is saved: only prompts of which something is expected can be judged later. */
export function casesOf(prompts: readonly ComparedPrompt[]): EvaluationCase[] {
  return prompts
    .filter((prompt) => prompt.expected !== '' && editable(prompt).trim() !== '')
    .map(({ plain, messages, expected, match }) => ({
      ...(plain === undefined ? { messages } : { prompt: plain }),
      expected,
      match,
    }));
}
