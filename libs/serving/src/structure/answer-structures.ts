import { createHash } from 'node:crypto';
import type { ServingMetrics } from '../loop/serving-metrics.js';
import type { AnswerFormats } from '#contracts/chat-formats.js';
import type { GenerateRequest, WishedCalls } from '#contracts/engine-protocol.js';
import type { StructureWish } from '#contracts/structure-wish.js';
import { StructureError } from '#grammar/errors.js';
import { GrammarThread } from '#grammar/thread/grammar-thread.js';
import type { Vocabulary } from '#grammar/thread/vocabulary.js';
import type { MaskMemory } from '#native-engine/native.js';
import { AppError } from '#runtime/app-error.js';
import { MOST_DRAFT_ROWS } from '../speculation/drafts.js';
import type { RenderedChat } from '../text/chat-formats.js';
import { FairTurns } from '../text/fair-turns.js';
import { type AnswerForm, answerForm } from './answer-form.js';
import { structureFault } from './structure-fault.js';
import { AllowedTokens } from './allowed-tokens.js';
import { AnswerMask } from './answer-mask.js';
import { CompileTimes } from './compile-times.js';
import { MaskPool } from './mask-pool.js';

export interface AnswerStructuresOptions {
  /** Called once, when the first structure is wished for. */
  readonly vocabulary: () => Vocabulary;
  /** Logits of a row. */
  readonly vocabSize: number;
  /** Answers that may have a structure at the same time. */
  readonly answers: number;
  readonly compileTimeout_ms: number;
  /** Those of the base model. */
  readonly eosTokenIds: readonly number[];
  readonly metrics: Pick<ServingMetrics, 'maskSeconds' | 'structureSeconds'>;
}

export interface BegunAnswer {
  readonly eosTokenIds: readonly number[];
  /** Tokens that may be drawn; undefined: all that the structure allows. */
  readonly allowedTokenIds: readonly number[] | undefined;
  /** A mask that was asked for is there. */
  readonly onReady: () => void;
  /** There will be no more masks. */
  readonly onFailed: (fault: AppError) => void;
}

type Tool = WishedCalls['tools'][number];

const LIBRARY_BYTES = 1024 * 2 ** 20;
const COMPILED_BYTES = 256 * 2 ** 20;
/** Characters of translated grammars that are kept. */
const KEPT_CHARACTERS = 16 * 2 ** 20;

const WAITING_PER_CALLER = 1_024;
/** What compiles longer runs where all is compiled, so that it holds up no masks but those of its kind. */
const QUICK_MS = 100;

/** Guesses whose masks may be there at once: those of a step, while the thread may still write those of steps before. */
const GUESSES = 4 * MOST_DRAFT_ROWS;

/** A grammar that is ready to be begun. */
interface ReadyGrammar {
  readonly text: string;
  readonly thread: GrammarThread;
}

export interface WishedStructure {
  readonly grammar: ReadyGrammar;
  /** The caller's, for faults. */
  readonly field: string;
}

interface Opened {
  /** Where wishes are translated and compiled, and where the masks of grammars come from that took long. */
  readonly workshop: GrammarThread;
  /** The masks of all others. */
  readonly quick: GrammarThread;
}

/** Structures of answers: from wishes to grammars, and from grammars to the masks of answers. Costs nothing before the first wish. */
export class AnswerStructures {
  #opened: Opened | undefined;
  #pool: MaskPool | undefined;
  /** Grammars by the digest of their wish, in the order of last use. They hold for one tokenizer, the model's. */
  readonly #grammars = new Map<string, ReadyGrammar>();
  /** For the workshop: a caller's slow wishes hold up its own. */
  readonly #turns = new FairTurns({
    slots: 1,
    slotsPerCaller: 1,
    waitingPerCaller: WAITING_PER_CALLER,
    now: () => performance.now(),
  });
  readonly #making = new Map<string, Promise<ReadyGrammar> | ReadyGrammar>();
  readonly #times = new CompileTimes(QUICK_MS);
  #keptCharacters = 0;
  #isClosed = false;

  constructor(private readonly options: AnswerStructuresOptions) {}

  /** What the answer to a request is held to, ready to be begun; undefined: to nothing. Refuses what cannot be kept. */
  async wished(
    request: GenerateRequest,
    formats: AnswerFormats,
    chat: RenderedChat | undefined,
  ): Promise<WishedStructure | undefined> {
    const form = answerForm(request, formats, chat);
    if (form === undefined) return undefined;
    const { wish, field } = form;
    if (this.options.eosTokenIds.length === 0) {
      throw new AppError('invalid_request', {
        message: `${field}: the model has no token that ends an answer, so none could be ended by its structure.`,
        param: field,
      });
    }
    try {
      return { grammar: await this.#grammarOf(wish, request.fairnessKey), field };
    } catch (error) {
      throw await this.#faultOf(error, form, request);
    }
  }

  /** The masks of one answer; `eosTokenIds` are all that end it. */
  begin({ grammar: { text, thread }, field }: WishedStructure, answer: BegunAnswer): AnswerMask {
    const [pool, slot] = this.#take();
    const { allowedTokenIds: only } = answer;
    const ends = answer.eosTokenIds.filter((token) => !this.options.eosTokenIds.includes(token));
    const onFailed = (error: unknown) => answer.onFailed(structureFault(error, field));
    const { onReady } = answer;
    return new AnswerMask({ thread, pool, slot, grammar: text, field, ends, only, onReady, onFailed });
  }

  /** The mask of an answer without a structure that may hold these tokens alone. */
  allow(tokens: readonly number[]): AllowedTokens {
    return new AllowedTokens(...this.#take(), tokens);
  }

  /** Undefined: there was no wish yet. */
  get memory(): MaskMemory | undefined {
    const slots = this.#pool?.slots;
    return slots && { ...slots, slots: slots.numbers.length };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#opened?.workshop.close(), this.#opened?.quick.close()]);
  }

  /** Rejects with a `StructureError` for a wish that cannot be kept. */
  async #grammarOf(wish: StructureWish, caller: string): Promise<ReadyGrammar> {
    const opened = this.#open();
    const digest = createHash('sha256').update(JSON.stringify(wish)).digest('base64');
    const making = this.#grammars.get(digest) ?? this.#making.get(digest) ?? this.#make(wish, opened, caller);
    this.#making.set(digest, making);
    try {
      const ready = await making;
      this.#keep(digest, ready);
      return ready;
    } finally {
      this.#making.delete(digest);
    }
  }

  async #make(wish: StructureWish, { workshop, quick }: Opened, caller: string): Promise<ReadyGrammar> {
    const waiting = this.#turns.take(caller);
    if (waiting === undefined) throw new AppError('overloaded');
    const turn = await waiting;
    try {
      const text = await workshop.translate(wish);
      if (!this.#times.isQuick(text)) {
        const { took_ms } = await workshop.compile(text);
        this.#times.note(text, took_ms);
        if (took_ms > QUICK_MS) return { text, thread: workshop };
      }
      const { took_ms } = await quick.compile(text);
      this.#times.note(text, took_ms);
      return { text, thread: quick };
    } finally {
      turn.release();
    }
  }

  /** What the caller is told of a fault; of several tools, which one's schema it is. */
  async #faultOf(error: unknown, { field, wish }: AnswerForm, request: GenerateRequest): Promise<AppError> {
    if (error instanceof StructureError && error.fault !== 'internal') {
      for (const tool of heldTools(request)) {
        const own = { kind: 'json_schema', schema: tool.schema, compact: wish.compact === true } as const;
        try {
          await this.#grammarOf(own, request.fairnessKey);
        } catch (fault) {
          return structureFault(fault, tool.field);
        }
      }
    }
    return structureFault(error, field);
  }

  #take(): [pool: MaskPool, slot: number] {
    const pool = this.#masks;
    const slot = pool.take();
    if (slot === undefined) throw new AppError('overloaded');
    return [pool, slot];
  }

  get #masks(): MaskPool {
    const { answers, vocabSize } = this.options;
    this.#pool ??= new MaskPool(answers, GUESSES, vocabSize);
    return this.#pool;
  }

  #open(): Opened {
    if (this.#isClosed) throw new StructureError('internal', 'the engine is shutting down');
    this.#opened ??= this.#start();
    return this.#opened;
  }

  #start(): Opened {
    const { metrics, compileTimeout_ms } = this.options;
    const vocabulary = this.options.vocabulary();
    const { slots } = this.#masks;
    const start = (warmsUp: boolean) =>
      new GrammarThread({
        vocabulary,
        slots,
        warmsUp,
        compileTimeout_ms,
        memoryBytes: LIBRARY_BYTES,
        cacheBytes: COMPILED_BYTES,
        onDone: (kind, took_ms) => {
          if (kind === 'advance') metrics.maskSeconds.observe(took_ms / 1000);
          else if (kind === 'translate' || kind === 'compile')
            metrics.structureSeconds.observe({ part: kind }, took_ms / 1000);
        },
      });
    // Code that is optimized for one thread is so for both.
    return { workshop: start(true), quick: start(false) };
  }

  #keep(digest: string, ready: ReadyGrammar): void {
    this.#drop(digest);
    this.#grammars.set(digest, ready);
    this.#keptCharacters += ready.text.length;
    for (const oldest of this.#grammars.keys()) {
      if (this.#keptCharacters <= KEPT_CHARACTERS) return;
      this.#drop(oldest);
    }
  }

  #drop(digest: string): void {
    this.#keptCharacters -= this.#grammars.get(digest)?.text.length ?? 0;
    this.#grammars.delete(digest);
  }
}

/** Those whose arguments have to fit their schema. */
function heldTools({ calls }: GenerateRequest): readonly Tool[] {
  return calls?.tools.filter(({ strict }) => strict || calls.required) ?? [];
}
