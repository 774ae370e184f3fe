import { StopError } from './stop-error.mjs';

/** A caller of the public HTTP API. */
export class ApiClient {
  #url;
  #key;

  /** @param {string} url @param {string} key */
  constructor(url, key) {
    this.#url = url;
    this.#key = key;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {FormData | object} [body]
   * @returns {Promise<{ status: number, body: any }>}
   */
  async call(method, path, body) {
    const json = body !== undefined && !(body instanceof FormData);
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(json ? { 'content-type': 'application/json' } : {}),
      },
      ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') && text !== '';
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  }

  /**
   * As `call`, for one of `statuses` only.
   * @param {readonly number[]} statuses
   * @param {string} method
   * @param {string} path
   * @param {FormData | object} [body]
   */
  async expect(statuses, method, path, body) {
    const answer = await this.call(method, path, body);
    if (statuses.includes(answer.status)) return answer;
    throw new StopError(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  }
}
