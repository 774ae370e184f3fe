import { createHash } from 'node:crypto';
import type { ServingMetrics } from '../loop/serving-metrics.js';
import type { WishedCalls } from '#contracts/engine-protocol.js';
import type { StructureWish } from '#contracts/structure-wish.js';
import { StructureError } from '#grammar/errors.js';
import { GrammarThread } from '#grammar/thread/grammar-thread.js';
import type { Vocabulary } from '#grammar/thread/vocabulary.js';
import type { MaskMemory } from '#native-engine/native.js';
import type { AppError } from '#runtime/app-error.js';
import type { AnswerForm } from './answer-form.js';
import { structureFault } from './structure-fault.js';
import { AnswerMask, type AnswerMaskOptions } from './answer-mask.js';
import { MaskPool } from './mask-pool.js';

export interface AnswerStructuresOptions {
  /** Called once, when the first structure is wished for. */
  readonly vocabulary: () => Vocabulary;
  /** Answers that may have a structure at the same time. */
  readonly answers: number;
  readonly compileTimeout_ms: number;
  readonly metrics: Pick<ServingMetrics, 'maskSeconds' | 'structureSeconds'>;
}

export type BegunAnswer = Pick<
  AnswerMaskOptions,
  'field' | 'ends' | 'onReady' | 'onFailed'
>;

const LIBRARY_BYTES = 1024 * 2 ** 20;
const COMPILED_BYTES = 256 * 2 ** 20;
/** Characters of translated grammars that are kept. */
const KEPT_CHARACTERS = 16 * 2 ** 20;

/** What compiles longer runs where all is compiled, so that it holds up no masks but those of its kind. */
const QUICK_MS = 25;

/** A grammar that is ready to be begun. */
export interface ReadyGrammar {
  readonly text: string;
  readonly thread: GrammarThread;
}

interface Opened {
  /** Where wishes are translated and compiled, and where the masks of grammars come from that took long. */
  readonly workshop: GrammarThread;
  /** The masks of all others. */
  readonly quick: GrammarThread;
  readonly pool: MaskPool;
  readonly memory: MaskMemory;
}

/** Structures of answers: from wishes to grammars, and from grammars to the masks of answers. Costs nothing before the first wish. */
export class AnswerStructures {
  #opened: Opened | undefined;
  /** Grammars by the digest of their wish, in the order of last use. They hold for one tokenizer, the model's. */
  readonly #grammars = new Map<string, ReadyGrammar>();
  #keptCharacters = 0;
  #isClosed = false;

  constructor(private readonly options: AnswerStructuresOptions) {}

  /** Rejects with a `StructureError` for a wish that cannot be kept. */
  async grammarOf(wish: StructureWish): Promise<ReadyGrammar> {
    const opened = this.#open();
    const digest = createHash('sha256').update(JSON.stringify(wish)).digest('base64');
    const ready = this.#grammars.get(digest) ?? (await this.#make(wish, opened));
    this.#keep(digest, ready);
    return ready;
  }

  async #make(wish: StructureWish, { workshop, quick }: Opened): Promise<ReadyGrammar> {
    const text = await workshop.translate(wish);
    const { took_ms } = await workshop.compile(text);
    if (took_ms > QUICK_MS) return { text, thread: workshop };
    await quick.compile(text);
    return { text, thread: quick };
  }

  /** What the caller is told of a fault; of several tools, which one's schema it is. */
  async faultOf(error: unknown, { field, wish }: AnswerForm, tools: readonly WishedCalls['tools'][number][]): Promise<AppError> {
    if (error instanceof StructureError && error.fault !== 'internal') {
      for (const tool of tools) {
        const own = { kind: 'json_schema', schema: tool.schema, compact: wish.compact === true } as const;
        const fault = await this.grammarOf(own).then(
          () => undefined,
          (found: unknown) => found,
        );
        if (fault !== undefined) return structureFault(fault, tool.field);
      }
    }
    return structureFault(error, field);
  }

  /** `grammar`: of `grammarOf`. Undefined: too many answers have a structure. */
  begin(grammar: ReadyGrammar, answer: BegunAnswer): AnswerMask | undefined {
    const { pool } = this.#open();
    const slot = pool.take();
    if (slot === undefined) return undefined;
    const { text, thread } = grammar;
    return new AnswerMask({ ...answer, thread, pool, slot, grammar: text });
  }

  /** Undefined: there was no wish yet. */
  get memory(): MaskMemory | undefined {
    return this.#opened?.memory;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#opened?.workshop.close(), this.#opened?.quick.close()]);
  }

  #open(): Opened {
    if (this.#isClosed) throw new StructureError('internal', 'the engine is shutting down');
    this.#opened ??= this.#start();
    return this.#opened;
  }

  #start(): Opened {
    const { answers, metrics, compileTimeout_ms } = this.options;
    const vocabulary = this.options.vocabulary();
    const pool = new MaskPool(answers, vocabulary.size);
    const { slots } = pool;
    const start = () =>
      new GrammarThread({
        vocabulary,
        slots,
        compileTimeout_ms,
        memoryBytes: LIBRARY_BYTES,
        cacheBytes: COMPILED_BYTES,
        onDone: (kind, took_ms) => {
          if (kind === 'advance') metrics.maskSeconds.observe(took_ms / 1000);
          else if (kind === 'translate' || kind === 'compile')
            metrics.structureSeconds.observe({ part: kind }, took_ms / 1000);
        },
      });
    return { workshop: start(), quick: start(), pool, memory: { ...slots, slots: answers } };
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
