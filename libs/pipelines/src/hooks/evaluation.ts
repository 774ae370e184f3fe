import { createContext, Script } from 'node:vm';
import type { EvaluationCase, EvaluationPolicy, EvaluationResult } from '#contracts/promotion.js';

/** A pattern that has not decided by then is one that backtracks without end. */
const PATTERN_TIMEOUT_MS = 100;
const SHOWN_LENGTH = 2000;

export interface GivenAnswer {
  readonly text?: string | undefined;
  /** Why there is no text. */
  readonly error?: string | undefined;
}

/** What one case came to. */
export function judge(
  index: number,
  { expected, match }: EvaluationCase,
  { text, error }: GivenAnswer,
): EvaluationResult {
  const result = { index, match, expected: shown(expected) };
  if (text === undefined) return { ...result, passed: false, answer: null, error: error ?? 'no answer' };
  try {
    return { ...result, passed: matches(text, expected, match), answer: shown(text), error: null };
  } catch (fault) {
    return {
      ...result,
      passed: false,
      answer: shown(text),
      error: fault instanceof Error ? fault.message : String(fault),
    };
  }
}

export interface Verdict {
  /** Share of the cases that passed. */
  readonly score: number;
  readonly holds: boolean;
  readonly reason: string;
}

export function verdictOf({ min_score }: EvaluationPolicy, results: readonly EvaluationResult[]): Verdict {
  const passed = results.filter((result) => result.passed).length;
  const score = results.length === 0 ? 0 : passed / results.length;
  const holds = score >= min_score;
  const figures = `${passed} of ${results.length} prompts passed: score ${round(score)}`;
  return {
    score,
    holds,
    reason: `${figures}${holds ? ',' : ' is'} ${holds ? 'at least' : 'below'} ${round(min_score)}`,
  };
}

function matches(text: string, expected: string, match: EvaluationCase['match']): boolean {
  if (match === 'exact') return text.trim() === expected.trim();
  if (match === 'contains') return text.includes(expected);
  return matchesPattern(text, expected);
}

/** The pattern is a tenant's: it gets a moment of this thread and no more. */
function matchesPattern(text: string, pattern: string): boolean {
  const context = createContext(Object.assign(Object.create(null) as object, { pattern, text }));
  try {
    return new Script('new RegExp(pattern, "u").test(text)').runInContext(context, {
      timeout: PATTERN_TIMEOUT_MS,
    }) as boolean;
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Error(`the pattern took longer than ${PATTERN_TIMEOUT_MS} ms`, { cause: error });
  }
}

const shown = (text: string): string =>
  (text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text).replaceAll('\0', '\uFFFD');

const round = (score: number): string => String(Math.round(score * 1000) / 1000);
