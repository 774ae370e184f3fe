import type { GenerateEvent, ScoredToken, TokenChoice } from '#contracts/engine-protocol.js';
import { MAX_TOP_LOGPROBS, type StepPlan } from '#native-engine/native.js';
import { Detokenizer, isHidden, type ShownTokens } from '../text/detokenizer.js';
import type { PromptScore, Sequence } from './sequence.js';
import type { Tokenizer } from '../text/tokenizer.js';

type PromptEvent = Extract<GenerateEvent, { type: 'prompt' }>;

function tokenChoice(tokenizer: Tokenizer, id: number, logprob: number): TokenChoice {
  return { id, text: tokenizer.textOf(id), bytes: [...tokenizer.bytesOf(id)], logprob };
}

/** The alternatives that native wrote for one result, best first. */
function topChoices(plan: StepPlan, sample: number, tokenizer: Tokenizer): TokenChoice[] {
  const top: TokenChoice[] = [];
  const count = plan.outTopCount[sample] as number;
  for (let at = sample * MAX_TOP_LOGPROBS; top.length < count; at++) {
    top.push(tokenChoice(tokenizer, plan.outTopToken[at] as number, plan.outTopLogprob[at] as number));
  }
  return top;
}

export function promptScore(plan: StepPlan, sample: number, tokenizer: Tokenizer): PromptScore {
  return { logprob: plan.outLogprob[sample] as number, top: topChoices(plan, sample, tokenizer) };
}

export function scoredToken(
  plan: StepPlan,
  sample: number,
  { tokenizer, shown }: { readonly tokenizer: Tokenizer; readonly shown: ShownTokens },
): ScoredToken {
  const choice = tokenChoice(tokenizer, plan.outToken[sample] as number, plan.outLogprob[sample] as number);
  const notInText = isHidden(tokenizer, shown, choice.id) ? { notInText: true as const } : {};
  return { ...choice, top: topChoices(plan, sample, tokenizer), ...notInText };
}

/** The prompt with the score of each token. `added` marks tokens that are not in the prompt's text. */
export function promptEvent(
  sequence: Pick<Sequence, 'tokens' | 'promptTokens' | 'promptScores'>,
  added: Uint8Array,
  tokenizer: Tokenizer,
): PromptEvent {
  const detokenizer = new Detokenizer(tokenizer, 'all');
  let text = '';
  const tokens: PromptEvent['tokens'] = [];
  for (const [i, id] of sequence.tokens.subarray(0, sequence.promptTokens).entries()) {
    const score = i === 0 ? undefined : sequence.promptScores[i - 1];
    tokens.push({
      ...tokenChoice(tokenizer, id, 0),
      logprob: score?.logprob ?? null,
      top: score?.top ?? [],
      textOffset: text.length,
    });
    if (added[i] !== 1) text += detokenizer.push(id);
    if (text.startsWith(' ') && tokenizer.stripsLeadingSpace && i === firstShown(added)) text = text.slice(1);
  }
  return { type: 'prompt', text: text + detokenizer.flush(), tokens };
}

function firstShown(added: Uint8Array): number {
  const first = added.indexOf(0);
  return first < 0 ? 0 : first;
}
