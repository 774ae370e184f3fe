import type { StructureWish } from '#contracts/structure-wish.js';
import type { StructureLimits } from '../budget.js';
import { StructureError } from '../errors.js';
import { type MaskSlots, publish } from './mask-slots.js';
import { MatcherHistory } from './matcher-history.js';
import {
  type Advance,
  type Beginning,
  type Command,
  type GrammarWorkerData,
  type MaskPlace,
  type Outcome,
  placesOf,
} from './protocol.js';
import type { Vocabulary } from './vocabulary.js';
import { type WorkerEnd, WorkerLink } from './worker-link.js';

export interface GrammarThreadOptions {
  readonly vocabulary: Vocabulary;
  /** Where the masks go; another thread may write to others of them. */
  readonly slots: MaskSlots;
  /** Of one translation and of one compilation, from when the thread turns to it. */
  readonly compileTimeout_ms: number;
  /** Of the library, with the vocabulary and all grammars. */
  readonly memoryBytes: number;
  /** Of compiled grammars that are kept, as estimated. */
  readonly cacheBytes: number;
  readonly limits?: StructureLimits;
  /** Whether it makes itself quick while nothing is asked of it; absent: it does not. */
  readonly warmsUp?: boolean;
  /** What each command has made the thread work. */
  readonly onDone?: (kind: Command['kind'], took_ms: number) => void;
}

interface Pending {
  readonly command: Command;
  readonly settle: (outcome: Outcome, took_ms?: number) => void;
}

/** The number of commands that nobody waits for; others count from 1. */
const CATCHING_UP = 0;

/** A fault that the same matchers meet again in a fresh thread is not tried for ever. */
const MOST_RESTARTS_IN_A_ROW = 3;

/**
 * Compiles grammars and makes masks, in a thread of its own: the library is slow on some grammars and aborts on others. A
 * thread that overran or died is started anew; its matchers read again what they had read, and nobody else notices.
 */
export class GrammarThread {
  readonly #matchers = new Map<number, MatcherHistory>();
  /** In the order in which they were sent, by request. */
  readonly #pending = new Map<number, Pending>();
  #link: WorkerLink | undefined;
  #requests = 0;
  #ids = 0;
  #restarts = 0;
  /** Matchers that a fresh thread has not yet brought back: that is nobody's time. */
  #returning = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(private readonly options: GrammarThreadOptions) {}

  get slots(): MaskSlots {
    return this.options.slots;
  }

  /** Starts the thread, so that the first wish need not wait for it. */
  warm(): void {
    this.#running();
  }

  /** The grammar of a wish. Rejects with a `StructureError`. */
  translate(wish: StructureWish): Promise<string> {
    return this.#ask({ kind: 'translate', wish }) as Promise<string>;
  }

  /**
   * Compiles a grammar, as `translate` gives it, so that `begin` finds it ready; how long the thread worked for it. Rejects
   * with a `StructureError`.
   */
  async compile(grammar: string): Promise<{ readonly took_ms: number }> {
    let took_ms = 0;
    await this.#ask({ kind: 'compile', grammar }, (ms) => {
      took_ms = ms;
    });
    return { took_ms };
  }

  /** A matcher at the beginning of an answer. Rejects with a `StructureError`. */
  begin(grammar: string, held: Omit<Beginning, 'grammar'> = {}): Promise<number> {
    return this.#beginAt({ grammar, ...held }, []);
  }

  /** A matcher that has read what `id` has read, pending steps included. */
  fork(id: number): Promise<number> {
    const { beginning, tokens } = this.#history(id);
    return this.#beginAt(beginning, tokens);
  }

  /** Reads tokens, then writes the mask of the next one to its place. */
  async advance(id: number, tokens: readonly number[], place?: MaskPlace): Promise<Advance> {
    this.#history(id).advance(tokens);
    return this.#ask({ kind: 'advance', id, tokens, ...(place && { place }) }) as Promise<Advance>;
  }

  /** Takes the last tokens back: they were guesses. */
  async rollback(id: number, count: number, place?: MaskPlace): Promise<void> {
    this.#history(id).rollback(count);
    await this.#ask({ kind: 'rollback', id, count, ...(place && { place }) });
  }

  /** Writes the mask behind each of some tokens that may come; the matcher stays where it is. */
  async guess(id: number, tokens: readonly number[], places: readonly MaskPlace[]): Promise<void> {
    this.#history(id);
    await this.#ask({ kind: 'guess', id, tokens, places });
  }

  end(id: number): void {
    if (!this.#matchers.delete(id) || this.#isClosed) return;
    void this.#ask({ kind: 'end', id }).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#failAll('the grammar thread is closed');
    await this.#link?.close();
  }

  async #beginAt(beginning: Beginning, tokens: readonly number[]): Promise<number> {
    const id = ++this.#ids;
    await this.#ask({ kind: 'begin', id, ...beginning, tokens });
    this.#matchers.set(id, new MatcherHistory(beginning, tokens));
    return id;
  }

  #history(id: number): MatcherHistory {
    const history = this.#matchers.get(id);
    if (history === undefined) throw new StructureError('internal', `there is no matcher ${id}`);
    return history;
  }

  async #ask(command: Command, onDone?: (took_ms: number) => void): Promise<string | Advance | undefined> {
    if (this.#isClosed) throw new StructureError('internal', 'the grammar thread is closed');
    const outcome = await new Promise<Outcome>((resolve) => {
      const settle = (settled: Outcome, took_ms = 0) => {
        onDone?.(took_ms);
        resolve(settled);
      };
      const request = ++this.#requests;
      this.#pending.set(request, { command, settle });
      this.#running().send({ request, command });
      this.#watchFirst();
    });
    if ('value' in outcome) return outcome.value;
    throw new StructureError(outcome.fault, outcome.message, outcome.keyword, outcome.pointer);
  }

  #running(): WorkerLink {
    this.#link ??= this.#start();
    return this.#link;
  }

  #start(): WorkerLink {
    const { vocabulary, slots, memoryBytes, cacheBytes, limits, warmsUp = false } = this.options;
    const data: GrammarWorkerData = {
      vocabulary,
      slots,
      memoryBytes,
      cacheBytes,
      warmsUp,
      ...(limits && { limits }),
    };
    return new WorkerLink(data, {
      onReady: () => this.#watchFirst(),
      onAnswer: ({ request, outcome, took_ms }) => this.#settle(request, outcome, took_ms),
      onEnd: (end) => this.#restart(end),
    });
  }

  #settle(request: number, outcome: Outcome, took_ms: number): void {
    if (request === CATCHING_UP && --this.#returning === 0) this.#watchFirst();
    const pending = this.#pending.get(request);
    if (pending === undefined) return;
    if ('isFatal' in outcome && outcome.isFatal) {
      this.#restart({ fault: outcome.fault, message: outcome.message });
      return;
    }
    this.#restarts = 0;
    this.#pending.delete(request);
    this.#confirm(pending.command, outcome);
    this.options.onDone?.(pending.command.kind, took_ms);
    pending.settle(outcome, took_ms);
    this.#watchFirst(true);
  }

  /** What a fresh thread would have to read again. */
  #confirm(command: Command, outcome: Outcome): void {
    if (command.kind !== 'advance' && command.kind !== 'rollback') return;
    const accepted = 'value' in outcome && typeof outcome.value === 'object' ? outcome.value.accepted : 0;
    this.#matchers.get(command.id)?.confirm(command, accepted);
  }

  /** The first command is the one that the thread is at: only that one is timed. */
  #watchFirst(anew = false): void {
    if (anew) this.#stopWatching();
    if (this.#timer !== undefined || this.#link?.isReady !== true) return;
    if (this.#pending.size === 0 || this.#returning > 0) return;
    const { compileTimeout_ms } = this.options;
    this.#timer = setTimeout(
      () => this.#restart({ fault: 'too_slow', message: `it was not ready within ${compileTimeout_ms} ms` }),
      compileTimeout_ms,
    );
    this.#timer.unref();
  }

  #stopWatching(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The command that the thread was at has failed, if it was one for a grammar; all others go to a fresh thread. */
  #restart(end: WorkerEnd): void {
    this.#stopWatching();
    this.#returning = 0;
    const wasReady = this.#link?.isReady === true;
    void this.#link?.close();
    this.#link = undefined;
    if (this.#isClosed) return;
    const [first] = this.#pending;
    if (first !== undefined) {
      const [request, { command, settle }] = first;
      const isGuilty = command.kind === 'translate' || command.kind === 'compile' || command.kind === 'begin';
      const isHopeless = !isGuilty && ++this.#restarts > MOST_RESTARTS_IN_A_ROW;
      if (isHopeless && !wasReady) {
        this.#restarts = 0;
        this.#failAll('the grammar thread dies again and again');
        return;
      }
      if (isGuilty || isHopeless) {
        this.#restarts = 0;
        this.#pending.delete(request);
        this.#forsake(command);
        settle({ ...end, isFatal: false });
      }
    }
    if (this.#pending.size === 0 && this.#matchers.size === 0) return;
    this.#catchUp(this.#running());
  }

  #catchUp(link: WorkerLink): void {
    this.#returning = this.#matchers.size;
    for (const [id, { beginning, confirmed }] of this.#matchers)
      link.send({ request: CATCHING_UP, command: { kind: 'begin', id, ...beginning, tokens: confirmed } });
    for (const [request, { command }] of this.#pending) link.send({ request, command });
  }

  /** Its mask will not come, and a matcher that did not live through it is gone. */
  #forsake(command: Command): void {
    if (command.kind !== 'advance' && command.kind !== 'rollback' && command.kind !== 'guess') return;
    this.#matchers.delete(command.id);
    for (const { slot, number } of placesOf(command)) publish(this.slots, slot, -number);
  }

  #failAll(message: string): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#matchers.clear();
    for (const { command, settle } of pending) {
      this.#forsake(command);
      settle({ fault: 'internal', message, isFatal: false });
    }
  }
}
