/** What is believed of guesses that nobody has tried, and for how many tried ones that counts. */
const BELIEVED = 0.6;
const BELIEVED_TOKENS = 3;
/** For how many of a request's own tokens its adapter's others count. */
const ADAPTER_TOKENS = 4;
/** How much a tried token counts against the next one. */
const KEPT_BY_ADAPTER = 0.98;
const KEPT_BY_REQUEST = 0.93;
const MOST_ADAPTERS = 1_024;

/** How often the next token was guessed right, newer ones counting more. */
class Share {
  #right = 0;
  #tried = 0;
  /** The plan in which it was last tried although it did not seem to pay. */
  lastTrial = 0;

  constructor(private readonly kept: number) {}

  get tried(): number {
    return this.#tried;
  }

  /** The first `accepted` were right; the one behind them was wrong where `drafted` were more. */
  note(drafted: number, accepted: number): void {
    for (let i = 0; i < Math.min(drafted, accepted + 1); i++) {
      this.#right = this.#right * this.kept + (i < accepted ? 1 : 0);
      this.#tried = this.#tried * this.kept + 1;
    }
  }

  /** Where `prior` counts for `tokens` tried ones. */
  given(prior: number, tokens: number): number {
    return (this.#right + prior * tokens) / (this.#tried + tokens);
  }
}

/** How often the draft model is right about one request, as far as it has shown and else as its adapter's others. */
export class RequestAcceptance {
  readonly #own = new Share(KEPT_BY_REQUEST);

  constructor(private readonly adapter: Share) {}

  /** That the next token, if the ones before it are right, is too. */
  get share(): number {
    return this.#own.given(this.adapter.given(BELIEVED, BELIEVED_TOKENS), ADAPTER_TOKENS);
  }

  /** Tokens, of late, from which it is known for the adapter. */
  get adapterTried(): number {
    return this.adapter.tried;
  }

  get lastTrial(): number {
    return this.adapter.lastTrial;
  }

  beginTrial(plan: number): void {
    this.adapter.lastTrial = plan;
  }

  note(drafted: number, accepted: number): void {
    this.#own.note(drafted, accepted);
    this.adapter.note(drafted, accepted);
  }
}

/** Of all adapters that were in use of late; the base model counts as one. */
export class Acceptances {
  readonly #adapters = new Map<string, Share>();

  begin(adapter: string | undefined): RequestAcceptance {
    const key = adapter ?? '';
    const share = this.#adapters.get(key) ?? new Share(KEPT_BY_ADAPTER);
    this.#adapters.delete(key);
    this.#adapters.set(key, share);
    for (const oldest of this.#adapters.keys()) {
      if (this.#adapters.size <= MOST_ADAPTERS) break;
      this.#adapters.delete(oldest);
    }
    return new RequestAcceptance(share);
  }
}
