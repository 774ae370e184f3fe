import { vi } from 'vitest';
import type { BatchEndpoint, BatchResource } from '#contracts/openai/batches.js';
import type { FileResource } from '#contracts/openai/files.js';
import type { Client } from './client.js';

export interface Line {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: Record<string, unknown> & { error?: { code: string; param: string | null } };
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** A line that asks a chat completion. */
export const chatLine = (id: string, body: object = {}, rest: object = {}) => ({
  custom_id: id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'llama-gqa', messages: [{ role: 'user', content: id }], ...body },
  ...rest,
});

export const jsonl = (lines: readonly object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

export function fileForm(
  text: string,
  { name = 'requests.jsonl', fields = { purpose: 'batch' } as Record<string, string> } = {},
): FormData {
  const form = new FormData();
  form.append('file', new Blob([text]), name);
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  return form;
}

export function uploadFile(client: Client, text: string, fields = {}): Promise<FileResource> {
  const form = fileForm(text, { fields: { purpose: 'batch', ...fields } });
  return client.expect<FileResource>(200, 'POST', '/v1/files', form);
}

export async function startBatch(
  client: Client,
  lines: readonly object[],
  {
    endpoint = '/v1/chat/completions',
    ...more
  }: { readonly endpoint?: BatchEndpoint } & Readonly<Record<string, unknown>> = {},
): Promise<BatchResource> {
  const { id } = await uploadFile(client, jsonl(lines));
  const body = { input_file_id: id, endpoint, completion_window: '24h', ...more };
  return client.expect<BatchResource>(200, 'POST', '/v1/batches', body);
}

export const batchOf = (client: Client, id: string) =>
  client.expect<BatchResource>(200, 'GET', `/v1/batches/${id}`);

const ENDED = new Set(['completed', 'failed', 'expired', 'cancelled']);

/** Waits for the batch's end, also outside of a test. */
export function ended(client: Client, id: string, timeout = 60_000): Promise<BatchResource> {
  const look = async () => {
    const batch = await batchOf(client, id);
    if (!ENDED.has(batch.status)) throw new Error(`the batch is ${batch.status}`);
    return batch;
  };
  return vi.waitFor(look, { timeout, interval: 50 });
}

/** The lines of an output or error file; none: there is no file. */
export async function linesOf(client: Client, fileId: string | null): Promise<Line[]> {
  if (fileId === null) return [];
  const text = String((await client.call('GET', `/v1/files/${fileId}/content`)).body);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}
