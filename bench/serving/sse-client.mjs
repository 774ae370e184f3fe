import { Agent, request } from 'node:http';

/** @typedef {import('./outcome.mjs').RequestOutcome} RequestOutcome */

/** Connections stay open between requests, as a gateway's do; there are as many as requests at once. */
const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

/**
 * One streamed completion; never throws for what the server does.
 * @param {object} call
 * @param {string} call.url  of the API
 * @param {string} call.key
 * @param {string} call.model
 * @param {readonly number[]} call.prompt
 * @param {number} call.newTokens
 * @param {Readonly<Record<string, unknown>>} [call.fields]
 * @param {number} call.start_ms  of the workload: all times count from it
 * @param {AbortSignal} [call.signal]
 * @returns {Promise<RequestOutcome & { tokens: number[] }>}
 */
export function streamCompletion({ url, key, model, prompt, newTokens, fields, start_ms, signal }) {
  const body = JSON.stringify({
    model,
    prompt,
    max_tokens: newTokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    return_token_ids: true,
    ...fields,
  });
  /** @type {number[]} */
  const tokens = [];
  /** @type {number[]} */
  const times_ms = [];
  const arrived_ms = performance.now() - start_ms;
  return new Promise((resolve) => {
    const end = (/** @type {string | undefined} */ fault) => resolve({ arrived_ms, times_ms, tokens, fault });
    const call = request(
      `${url}/v1/completions`,
      {
        method: 'POST',
        agent,
        signal,
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        if (response.statusCode !== 200) {
          response.resume();
          response.once('close', () => end(`http ${response.statusCode}`));
          return;
        }
        const reader = new EventReader((ids) => {
          const now_ms = performance.now() - start_ms;
          for (const id of ids) {
            tokens.push(id);
            times_ms.push(now_ms);
          }
        });
        response.setEncoding('utf8');
        response.on('data', (text) => reader.take(text));
        response.once('end', () => end(reader.fault(tokens.length, newTokens)));
        response.once('error', () => end(signal?.aborted ? 'aborted' : 'broken'));
      },
    );
    call.once('error', () => end(signal?.aborted ? 'aborted' : 'connection'));
    call.end(body);
  });
}

/** Reads `data:` lines of a completion stream. */
export class EventReader {
  #rest = '';
  #done = false;
  /** @type {string | undefined} */
  #error;
  #onTokens;

  /** @param {(ids: readonly number[]) => void} onTokens */
  constructor(onTokens) {
    this.#onTokens = onTokens;
  }

  /** @param {string} text */
  take(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data: ')) this.#event(line.slice(6));
    }
  }

  /** Why the stream is not a whole answer, if so. @param {number} got @param {number} wanted */
  fault(got, wanted) {
    if (this.#error !== undefined) return this.#error;
    if (!this.#done) return 'broken';
    return got === wanted ? undefined : `${got} of ${wanted} tokens`;
  }

  /** @param {string} data */
  #event(data) {
    if (data === '[DONE]') {
      this.#done = true;
      return;
    }
    const { choices, error } = JSON.parse(data);
    if (error) this.#error = String(error.code ?? 'error');
    const ids = choices?.[0]?.token_ids;
    if (ids?.length > 0) this.#onTokens(ids);
  }
}
