import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { AppError } from '#runtime/app-error.js';
import type { GuardedText } from '#jinja/chat/control-tokens.js';
import type { RenderWorkerData } from '#jinja/chat/render-thread.js';
import type { AddedTokensData, CoderCall, CoderMessage, CoderValue } from './added-tokens-protocol.js';
import { type EncodedText, type TextCoder, TooManyTokensError } from './text-coder.js';

/** Beside this module: .js when built, .ts under a test runner that can load it. */
const PROGRAM = new URL(`./added-tokens-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/** Of JavaScript, besides the library's own memory: tokenizer.json and what is made of it. */
const HEAP_MEGABYTES = 512;

interface Waiting {
  resolve(value: CoderValue): void;
  reject(error: Error): void;
}

/**
 * The tokenizer of an adapter with tokens of its own, in a thread: making it takes seconds for the largest vocabularies, and
 * nobody else waits for it. A thread that rests, or has failed, is started again by the next text.
 */
export class AddedTokensCoder implements TextCoder {
  #worker: Worker | undefined;
  #opened: Promise<RenderWorkerData> | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #rests = false;
  #renderData: RenderWorkerData = { controlTokens: [], guardAlways: false };

  private constructor(private readonly data: AddedTokensData) {}

  /** Throws AppError where the base's tokenizer cannot take the tokens. */
  static async open(data: AddedTokensData): Promise<AddedTokensCoder> {
    const coder = new AddedTokensCoder(data);
    // The same each time: the spellings come from `data` alone.
    coder.#renderData = await coder.#open();
    return coder;
  }

  get renderData(): RenderWorkerData {
    return this.#renderData;
  }

  async encode(
    text: string,
    addSpecial: boolean,
    limitTokens = Number.POSITIVE_INFINITY,
  ): Promise<EncodedText> {
    return (await this.#call({ encode: text, addSpecial, limitTokens })) as EncodedText;
  }

  async encodeGuarded(guarded: GuardedText, limitTokens = Number.POSITIVE_INFINITY): Promise<EncodedText> {
    return (await this.#call({ guarded, limitTokens })) as EncodedText;
  }

  async decode(ids: readonly number[]): Promise<string> {
    return (await this.#call({ decode: ids })) as string;
  }

  /** Ends the thread, and with it its memory, whenever nothing is asked of it. */
  rest(): void {
    this.#rests = true;
    if (this.#waiting.size === 0) void this.#end();
  }

  async close(): Promise<void> {
    await this.#end(new AppError('engine_unavailable'));
  }

  async #call(asked: CoderCall): Promise<CoderValue> {
    const call = ++this.#calls;
    const answer = new Promise<CoderValue>((resolve, reject) => this.#waiting.set(call, { resolve, reject }));
    // Whoever ends the thread rejects the answer, too.
    answer.catch(() => undefined);
    try {
      await this.#open();
      this.#worker?.postMessage({ call, asked });
      return await answer;
    } finally {
      this.#waiting.delete(call);
      if (this.#rests && this.#waiting.size === 0) void this.#end();
    }
  }

  #open(): Promise<RenderWorkerData> {
    this.#opened ??= this.#start();
    return this.#opened;
  }

  #start(): Promise<RenderWorkerData> {
    const worker = new Worker(PROGRAM, {
      workerData: this.data,
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
    });
    worker.unref();
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        reject(error);
        if (worker === this.#worker) void this.#end(error);
      };
      worker.on('message', (message: CoderMessage) => {
        if ('ready' in message) resolve(message.ready);
        else if ('misplaced' in message)
          fail(new AppError('invalid_request', { message: message.misplaced, param: 'model' }));
        else this.#answered(message);
      });
      worker.on('error', fail);
      worker.on('exit', () => fail(new AppError('engine_unavailable')));
    });
  }

  #answered(message: Extract<CoderMessage, { call: number }>): void {
    const waiting = this.#waiting.get(message.call);
    if ('value' in message) waiting?.resolve(message.value);
    else if ('tooMany' in message) waiting?.reject(new TooManyTokensError(message.tooMany));
    else waiting?.reject(new Error(message.failure));
  }

  async #end(error: Error = new AppError('engine_unavailable')): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#opened = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    await worker?.terminate();
  }
}
