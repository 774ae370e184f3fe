/**
 * @typedef {object} Answer
 * @property {number} status  0: the connection broke, or nothing came in time
 * @property {string | null} retryAfter
 * @property {any} body
 * @property {number} took_ms
 */

/** A caller with one key, whose every answer is data: nothing throws. */
export class Caller {
  /** @param {string} url @param {string} key */
  constructor(url, key) {
    this.url = url;
    this.key = key;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {FormData | object} [body]
   * @param {{ timeout_ms?: number, headers?: Record<string, string> }} [options]
   * @returns {Promise<Answer>}
   */
  async call(method, path, body, { timeout_ms = 120_000, headers = {} } = {}) {
    const json = body !== undefined && !(body instanceof FormData);
    const start_ms = performance.now();
    const took = () => Math.round(performance.now() - start_ms);
    try {
      const response = await fetch(this.url + path, {
        method,
        headers: {
          authorization: `Bearer ${this.key}`,
          ...(json ? { 'content-type': 'application/json' } : {}),
          ...headers,
        },
        ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeout_ms),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json') && text !== '';
      return {
        status: response.status,
        retryAfter: response.headers.get('retry-after'),
        body: isJson ? JSON.parse(text) : text,
        took_ms: took(),
      };
    } catch (error) {
      return { status: 0, retryAfter: null, body: String(error), took_ms: took() };
    }
  }

  /** Until `status` comes, through faults. @param {number} status @param {string} method @param {string} path @param {object} [body] */
  async insist(status, method, path, body) {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.call(method, path, body);
      if (answer.status === status) return answer.body;
      if (attempt === 100 || (answer.status !== 0 && answer.status < 500))
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}

/** Whether an answer is one that a fault may cause: a broken connection, or 503 that says when to come again. @param {Answer} answer */
export function excused(answer) {
  return answer.status === 0 || (answer.status === 503 && answer.retryAfter !== null);
}

/** @param {Answer} answer */
export function describe(answer) {
  return `${answer.status} after ${answer.took_ms} ms: ${JSON.stringify(answer.body).slice(0, 300)}`;
}
