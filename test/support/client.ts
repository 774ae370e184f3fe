import { openAsBlob } from 'node:fs';
import { join } from 'node:path';

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** A caller of the public HTTP API with one key. */
export class Client {
  constructor(
    readonly url: string,
    readonly key: string,
    private readonly extraHeaders: Readonly<Record<string, string>> = {},
  ) {}

  async call<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<Answer<T>> {
    const multipart = body instanceof FormData;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...this.extraHeaders,
        ...(body !== undefined && !multipart ? { 'content-type': 'application/json' } : {}),
      },
      ...(body === undefined ? {} : { body: multipart ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json') && text !== '';
    return {
      status: response.status,
      headers: response.headers,
      body: (json ? JSON.parse(text) : text) as T,
    };
  }

  /** As `call`, but anything other than `status` is an error that shows the answer. */
  async expect<T = Record<string, unknown>>(
    status: number,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<T> {
    const answer = await this.call<T>(method, path, body);
    if (answer.status !== status) {
      throw new Error(
        `${method} ${path}: ${answer.status}, expected ${status}: ${JSON.stringify(answer.body).slice(0, 2_000)}`,
      );
    }
    return answer.body;
  }

  /** Uploads a PEFT folder as a new version of `adapter` and waits until it is ready or rejected. */
  async uploadFolder(adapter: string, folder: string, wait_s = 60): Promise<Answer<VersionBody>> {
    const form = new FormData();
    for (const part of ['adapter_config.json', 'adapter_model.safetensors']) {
      form.append('files', await openAsBlob(join(folder, part)), part);
    }
    return this.call(
      'POST',
      `/v1/adapters/${encodeURIComponent(adapter)}/versions?create=true&wait=${wait_s}`,
      form,
    );
  }
}

export interface VersionBody {
  readonly id: string;
  readonly adapter: string;
  readonly version: number;
  readonly digest: string | null;
  readonly weights_sha256: string;
  readonly state: 'uploaded' | 'validating' | 'ready' | 'rejected';
  readonly report: Record<string, unknown> | null;
}

/** Makes a tenant with one key that may do everything a tenant may. */
export async function makeTenant(url: string, adminKey: string, name: string): Promise<Client> {
  const admin = new Client(url, adminKey);
  await admin.expect(201, 'POST', '/v1/admin/tenants', { name });
  const { key } = await admin.expect<{ key: string }>(201, 'POST', `/v1/admin/tenants/${name}/keys`, {
    name: 'test',
    scopes: ['inference', 'adapters'],
  });
  return new Client(url, key);
}
