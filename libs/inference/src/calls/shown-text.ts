import { content, type Said } from './reader.js';

/**
 * The text around calls: white space at its end waits for more text and is dropped where a call comes instead, and so is
 * that behind a call.
 */
export class ShownText {
  #space = '';
  #afterCall = false;
  #hasCalls = false;
  #empty = true;

  /** No text so far but white space. */
  get isEmpty(): boolean {
    return this.#empty && !this.#hasCalls;
  }

  say(text: string): Said[] {
    const all = this.#space + text;
    const kept = this.#afterCall ? all.trimStart() : all;
    const shown = kept.trimEnd();
    this.#space = kept.slice(shown.length);
    if (shown === '') return [];
    this.#afterCall = false;
    this.#empty = false;
    return content(shown);
  }

  called(): void {
    this.#space = '';
    this.#afterCall = true;
    this.#hasCalls = true;
  }

  end(): Said[] {
    return this.#hasCalls ? [] : content(this.#space);
  }
}
