import { randomBytes } from 'node:crypto';
import type { GenerateRequest, ScoredToken } from '#contracts/engine-protocol.js';
import { hasPenalty } from '#contracts/sampling.js';
import { type SampleColumns, sampleColumns } from '#native-engine/sample-columns.js';
import type { AppError } from '#runtime/app-error.js';
import type { AdapterState } from '../residency/adapter-demand.js';
import type { AdapterLease, AdapterVersion } from '../residency/adapter-residency.js';
import type { TokenMask } from '../structure/token-mask.js';
import type { EventStream } from './event-stream.js';
import type { KvPages } from '../kv/kv-pages.js';
import type { PooledState } from './pooled-state.js';
import type { PageNode, PrefixHolder } from '../kv/prefix-cache.js';
import { PrefixKeys, scopeKey } from '../kv/prefix-keys.js';
import type { Schedulable } from './scheduler.js';
import type { RequestOutcome } from './serving-metrics.js';
import { type ModelSpeculation, type NgramSpeculation, Speculation } from '../speculation/speculation.js';
import type { StopRule } from './stop-rule.js';
import type { TokenBans } from './token-bans.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { TokenHistory } from './token-history.js';

export interface SequenceOptions {
  readonly id: number;
  readonly request: GenerateRequest;
  readonly tokenizer: Tokenizer;
  /** Tokens that there are for it: the base's, or its adapter's own. */
  readonly vocabSize: number;
  /** Which of the prompt's answers it is. */
  readonly choice: number;
  readonly prompt: Int32Array;
  /** 1 where the tokenizer added a prompt token by itself; not part of the prompt's text. */
  readonly addedTokens: Uint8Array;
  /** Tokens to generate at most, 0 for only scoring the prompt. */
  readonly maxTokens: number;
  readonly stopRule: StopRule;
  readonly bans: TokenBans;
  readonly events: EventStream;
  readonly kvPages: KvPages;
  /** Undefined: the base model computes all of it. */
  readonly adapter: AdapterVersion | undefined;
  /** Where in its tokens the adapter begins; absent: at the first. */
  readonly activeFrom?: number | undefined;
  /** Whether the request asked for an activated LoRA. */
  readonly isActivated?: boolean | undefined;
  /** Undefined: no drafts of what it said before. */
  readonly ngram: NgramSpeculation | undefined;
  /** Undefined: no drafts by the draft model. */
  readonly model?: ModelSpeculation | undefined;
  /** Tokens of the answer that the caller expects. */
  readonly predicted?: Int32Array | undefined;
  /** Which tokens it may go on with; undefined: all. */
  readonly mask?: TokenMask | undefined;
  /** Its prompt is to become one vector; undefined: it is not. */
  readonly pooled?: PooledState | undefined;
  readonly arrival_ms: number;
  /** It is a later step of a request, and none by itself: metrics of requests pass it over. */
  readonly isPart?: boolean | undefined;
  /** Most tokens that one step computes of it. */
  readonly chunkTokens?: number | undefined;
  /** Its adapter is there for it; called again when it had to give it back. */
  readonly onAdapter: () => void;
  /** Called once, when everything that the request held is given back; `failure` is what ended it, if something did. */
  readonly onEnd: (failure: AppError | undefined) => void;
}

/** A score of a prompt token; `scored` is made when the whole prompt's are there. */
export type PromptScore = Pick<ScoredToken, 'logprob' | 'top'>;

/** One admitted request: its tokens, what of them is in the KV cache, and where its results go. */
export class Sequence implements Schedulable, PrefixHolder {
  readonly id: number;
  readonly fairnessKey: string;
  readonly fairnessWeight: number;
  readonly priority: number;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly chunkTokens: number | undefined;
  /** How its tokens are drawn. */
  readonly columns: SampleColumns;
  readonly seed: bigint;
  /** Alternatives to report with each generated token; absent: no log-probabilities. */
  readonly logprobs: number | undefined;
  /** With `logprobs`: tokens that are reported in place of the most likely ones; empty: those are. */
  readonly listedTokens: readonly number[];
  readonly promptLogprobs: number | undefined;
  /** Kept only when a penalty needs it. */
  readonly history: TokenHistory | undefined;
  readonly speculation: Speculation | undefined;

  /** The version's digest, or the composition's; undefined: the base model. */
  readonly adapter: string | undefined;
  /** Of what it is composed. */
  readonly adapterParts: readonly string[];
  /** What its low-rank deltas are multiplied by. */
  readonly adapterScale: number;
  /** The first of its tokens that the adapter computes. */
  readonly activeFrom: number;
  adapterState: AdapterState;
  lease: AdapterLease | undefined;
  /** Aborted when the lease that it waits for is not wanted any more. */
  leaseWanted: AbortController | undefined;
  waitsForRoom = false;
  passes = 0;
  readonly keys: PrefixKeys;
  lastKnown: PageNode | undefined;
  readonly pages: number[] = [];
  computedTokens = 0;
  /** Prompt tokens that were in the cache when the request first entered the batch. */
  cachedTokens = 0;
  /** Most tokens that were ever computed or found; a recomputation is not charged again. */
  chargedTokens = 0;
  /** `chargedTokens` when it last entered the batch. */
  #enteredTokens = 0;
  /** Steps in which it took part since then. */
  #turnSteps = 0;
  preemptions = 0;
  generated = 0;
  readonly promptScores: PromptScore[] = [];
  state: 'waiting' | 'running' | 'ended' = 'waiting';
  inStep = false;
  paused = false;
  /** Its mask was not there when its token was to be drawn: it takes part again when the mask is. */
  waitsForMask = false;
  lastStep = 0;
  /** It was to end while a step with it was running, and ends with this outcome when the step is over. */
  endsAfterStep: RequestOutcome | undefined;
  failure: AppError | undefined;
  stallTimer: NodeJS.Timeout | undefined;

  adapterAsked_ms: number | undefined;
  adapterReady_ms: number | undefined;
  firstGrant_ms: number | undefined;
  firstToken_ms: number | undefined;
  lastToken_ms = 0;

  #tokens: Int32Array;
  #length: number;

  constructor(readonly options: SequenceOptions) {
    const { request, prompt } = options;
    this.id = options.id;
    this.fairnessKey = request.fairnessKey;
    this.fairnessWeight = request.fairnessWeight ?? 1;
    this.priority = request.priority ?? 0;
    this.adapter = options.adapter?.digest;
    this.adapterParts = request.composition?.map(({ digest }) => digest) ?? [];
    this.adapterScale = this.adapter === undefined ? 1 : (request.adapterScale ?? 1);
    this.activeFrom = options.activeFrom ?? 0;
    this.adapterState = this.adapter === undefined ? 'ready' : 'absent';
    this.keys = prefixKeys(this, options);
    this.promptTokens = prompt.length;
    this.maxTokens = options.maxTokens;
    this.chunkTokens = options.chunkTokens;
    this.columns = sampleColumns(request.sampling);
    this.seed = seedOf(request.sampling.seed, options.choice);
    this.logprobs = request.logprobs;
    this.listedTokens = request.logprobTokenIds ?? [];
    // Scored once, whatever the number of answers.
    this.promptLogprobs = options.choice === 0 ? request.promptLogprobs : undefined;
    this.history = hasPenalty(request.sampling) ? new TokenHistory(prompt) : undefined;
    const drafts = [options.ngram, options.predicted, options.model].some((one) => one !== undefined);
    this.speculation = drafts ? new Speculation({ ...options, promptTokens: prompt.length }) : undefined;
    this.#tokens = new Int32Array(prompt.length + Math.min(options.maxTokens, 256));
    this.#tokens.set(prompt);
    this.#length = prompt.length;
  }

  get pooled(): PooledState | undefined {
    return this.options.pooled;
  }

  /** The last prompt token's logits are only needed when a token follows, its hidden state where they are pooled. */
  get totalTokens(): number {
    return this.maxTokens === 0 && !this.pooled ? this.promptTokens - 1 : this.#length;
  }

  get heldPages(): number {
    return this.pages.length;
  }

  get ownPages(): number {
    return this.options.kvPages.ownPages(this.pages);
  }

  enter(): void {
    this.state = 'running';
    this.#enteredTokens = this.chargedTokens;
    this.#turnSteps = 0;
  }

  takePart(step: number): void {
    this.inStep = true;
    this.lastStep = step;
    this.#turnSteps++;
  }

  /**
   * It has computed too little that is new since it entered to give way again; one that gave way often and has to compute
   * much of what it had once more gets ever longer for it.
   */
  get inTurn(): boolean {
    const patience = TURN_STEPS * 2 ** Math.min(this.preemptions, 10);
    return this.chargedTokens - this.#enteredTokens < TURN_TOKENS && this.#turnSteps < patience;
  }

  /** The adapter that computes the last of the tokens before `end`; 0: the base model computes all of them. */
  handleBefore(end: number): number {
    return this.adapterScale === 0 || end <= this.activeFrom ? 0 : (this.lease?.handle ?? 0);
  }

  /** Of an activated LoRA: tokens of the prompt that it computes. Undefined: of another adapter, or none. */
  get adapterTokens(): number | undefined {
    if (this.options.isActivated !== true) return undefined;
    return this.adapter === undefined ? 0 : this.promptTokens - this.activeFrom;
  }

  /** All known tokens; valid until the next `append`. */
  get tokens(): Int32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  /** Those after the prompt; valid until the next `append`. */
  get generatedTokens(): Int32Array {
    return this.#tokens.subarray(this.promptTokens, this.#length);
  }

  tokenAt(index: number): number {
    return this.#tokens[index] as number;
  }

  /** Position up to which prompt tokens have their scores (the first has none). */
  get scoredTokens(): number {
    return this.promptScores.length + 1;
  }

  /**
   * How many of its tokens may come from the cache: all but the last known one, whose row gives the next; and none whose
   * row still has to score a prompt token.
   */
  get reusableTokens(): number {
    if (this.pooled) return this.pooled.reusableTokens;
    const unscored = this.promptLogprobs !== undefined && this.scoredTokens < this.promptTokens;
    return unscored ? Math.min(this.scoredTokens, this.totalTokens) - 1 : this.totalTokens - 1;
  }

  append(token: number): void {
    if (this.#length === this.#tokens.length) {
      const larger = new Int32Array(this.#tokens.length * 2);
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    this.#tokens[this.#length++] = token;
    this.generated++;
    this.history?.addGenerated(token);
  }
}

const TURN_TOKENS = 16;
const TURN_STEPS = 4;

/** Before an activated LoRA begins, pages are the base's, and shared with it. */
function prefixKeys(
  { adapter, adapterScale: scale }: Pick<Sequence, 'adapter' | 'adapterScale'>,
  { request: { cacheSalt }, kvPages: { pageTokens }, activeFrom: from }: SequenceOptions,
): PrefixKeys {
  if (adapter === undefined || from === undefined)
    return new PrefixKeys(scopeKey({ cacheSalt, adapter, scale }), pageTokens);
  const base = scopeKey({ cacheSalt, adapter: undefined, scale: 1 });
  return new PrefixKeys(base, pageTokens, { adapter, scale, from });
}

/** The same given seed draws the same tokens; without one each answer has its own. */
function seedOf(seed: number | string | undefined, choice: number): bigint {
  if (seed === undefined) return randomBytes(8).readBigUInt64LE();
  return BigInt.asUintN(64, BigInt(seed) + BigInt(choice));
}
