import type { ErrorEnvelope } from '#contracts/errors.js';

/** An answer that is an error: what the API said, and the id by which its log knows the call. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly param: string | null,
    readonly requestId: string | null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export interface CallOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly body?: unknown;
  /** The tenant for which an operator acts. */
  readonly tenant?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** `/v1/x?a=1`; what is undefined or empty is left out. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== '') search.append(name, String(each));
    }
  }
  return search.size === 0 ? path : `${path}?${search}`;
}

/** A path's part that may hold anything. */
export const part = encodeURIComponent;

/** What every call of the console carries: it is no form and no foreign page that calls. */
export function headersOf({ tenant, headers, body }: CallOptions): Record<string, string> {
  return {
    'x-lorikeet-console': '1',
    ...(tenant === undefined ? {} : { 'x-tenant': tenant }),
    ...(body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' }),
    ...headers,
  };
}

/** The raw answer; throws ApiError where it is none. */
export async function request(path: string, options: CallOptions = {}): Promise<Response> {
  const { method = 'GET', body, signal } = options;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: headersOf(options),
      credentials: 'same-origin',
      ...(signal ? { signal } : {}),
      ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError('The API does not answer. It is tried again.', 0, 'unreachable', null, null);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** An answer's JSON; undefined for one without a body. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await request(path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get('x-request-id');
  try {
    const { error } = (await response.json()) as ErrorEnvelope;
    return new ApiError(error.message, response.status, error.code, error.param, requestId);
  } catch {
    return new ApiError(`The API answered ${response.status}.`, response.status, 'unknown', null, requestId);
  }
}
