import type { Connection } from './connection.js';
import { ApiError, CommandError } from './faults.js';

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface Asked {
  readonly query?: Query;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Calls the public HTTP API; whatever is no success is thrown with the server's own words. */
export class ApiClient {
  constructor(
    readonly connection: Connection,
    private readonly signal: AbortSignal,
  ) {}

  async get<T>(path: string, query: Query = {}): Promise<T> {
    return (await (await this.fetch('GET', path, { query })).json()) as T;
  }

  async send<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
    return (await (await this.fetch(method, path, { body })).json()) as T;
  }

  /** The answer with its body still to be read. */
  async fetch(method: string, path: string, { query = {}, body, headers }: Asked = {}): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(this.urlOf(path, query), {
        method,
        headers: {
          ...this.headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: this.signal,
      });
    } catch (error) {
      throw this.unreachable(error);
    }
    if (response.ok) return response;
    throw errorOf(
      response.status,
      await response.text().catch(() => ''),
      response.headers.get('x-request-id'),
    );
  }

  urlOf(path: string, query: Query = {}): string {
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] as [string, string]],
    );
    const search = new URLSearchParams(given).toString();
    return `${this.connection.url}${path}${search && `?${search}`}`;
  }

  get headers(): Record<string, string> {
    const { key, tenant } = this.connection;
    return { authorization: `Bearer ${key}`, ...(tenant === undefined ? {} : { 'x-tenant': tenant }) };
  }

  unreachable(error: unknown): Error {
    if (this.signal.aborted) return error as Error;
    const cause = (error as { cause?: unknown }).cause ?? error;
    const { code, message } = cause as { code?: string; message?: string };
    return new CommandError(`${this.connection.url} cannot be reached: ${message || code || 'no answer'}`);
  }
}

/** The error that an answer's body names, in OpenAI's envelope. */
export function errorOf(status: number, text: string, requestId: string | null | undefined): ApiError {
  let error: { message?: unknown; code?: unknown } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch {
    // Something other than our server answered, e.g. a proxy.
  }
  const message = typeof error.message === 'string' ? error.message : `the server answered ${status}`;
  const code = typeof error.code === 'string' ? error.code : `http_${status}`;
  return new ApiError(status, code, message, requestId ?? undefined);
}

/** One part of a path, from a name. */
export function part(name: string): string {
  return encodeURIComponent(name);
}
