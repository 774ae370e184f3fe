import type { VersionResource } from '#contracts/adapters-api.js';
import { ApiError, address, call, errorOf, headersOf, part } from './client';

export interface UploadTask {
  readonly adapter: string;
  readonly files: readonly File[];
  readonly tenant: string | undefined;
  readonly signal: AbortSignal;
  /** 0 to 1, of the bytes sent. */
  readonly onProgress: (share: number) => void;
}

/** Up to here one request is enough; larger files go piece by piece and go on after a break. */
const ONE_REQUEST_BYTES = 64 * 2 ** 20;
const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const TEMPLATE = 'chat_template.jinja';

/** Sends an adapter's files; the version that it becomes is still to be validated. */
export async function uploadVersion(task: UploadTask): Promise<VersionResource> {
  const bytes = task.files.reduce((sum, { size }) => sum + size, 0);
  return bytes <= ONE_REQUEST_BYTES ? sendAtOnce(task) : sendInPieces(task);
}

const versionsOf = (adapter: string): string =>
  address(`/v1/adapters/${part(adapter)}/versions`, { create: true });

/** XMLHttpRequest, since fetch tells nothing of how far a body is. */
function sendAtOnce({ adapter, files, tenant, signal, onProgress }: UploadTask): Promise<VersionResource> {
  const form = new FormData();
  for (const file of files) form.append('files', file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', versionsOf(adapter));
    for (const [name, value] of Object.entries(headersOf({ tenant }))) request.setRequestHeader(name, value);
    request.upload.addEventListener('progress', ({ loaded, total }) =>
      onProgress(total === 0 ? 0 : loaded / total),
    );
    request.addEventListener('error', () =>
      reject(new ApiError('The upload broke off.', 0, 'unreachable', null, null)),
    );
    request.addEventListener('load', () => {
      const headers = { 'x-request-id': request.getResponseHeader('x-request-id') ?? '' };
      const response = new Response(request.responseText, { status: request.status, headers });
      if (response.ok) resolve(response.json() as Promise<VersionResource>);
      else void errorOf(response).then(reject);
    });
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.addEventListener('abort', () => reject(new DOMException('cancelled', 'AbortError')));
    request.send(form);
  });
}

async function sendInPieces(task: UploadTask): Promise<VersionResource> {
  const wanted = new Map([
    [CONFIG, 'config'],
    [WEIGHTS, 'weights'],
    [TEMPLATE, 'chat_template'],
  ]);
  const sent = task.files.filter(({ name }) => wanted.has(name));
  const total = sent.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  const uploads: Record<string, string> = {};
  for (const file of sent) {
    const id = await sendFile(file, task, (bytes) => task.onProgress((before + bytes) / total));
    uploads[wanted.get(file.name) ?? ''] = id;
    before += file.size;
  }
  return call<VersionResource>(versionsOf(task.adapter), {
    method: 'POST',
    tenant: task.tenant,
    body: { uploads },
  });
}

async function sendFile(
  file: File,
  { tenant, signal }: UploadTask,
  onBytes: (bytes: number) => void,
): Promise<string> {
  // Comes with the first file that is large enough for it.
  const { Upload: TusUpload } = await import('tus-js-client');
  return new Promise((resolve, reject) => {
    const upload = new TusUpload(file, {
      endpoint: '/v1/uploads',
      headers: headersOf({ tenant }),
      metadata: { filename: file.name },
      chunkSize: 16 * 2 ** 20,
      retryDelays: [0, 1_000, 3_000, 5_000, 10_000],
      removeFingerprintOnSuccess: true,
      onProgress: onBytes,
      onError: (error) => reject(new ApiError(error.message, 0, 'upload_failed', null, null)),
      onSuccess: () => resolve((upload.url ?? '').split('/').at(-1) ?? ''),
    });
    signal.addEventListener(
      'abort',
      () => void upload.abort().then(() => reject(new DOMException('cancelled', 'AbortError'))),
      {
        once: true,
      },
    );
    const begin = async (): Promise<void> => {
      // The same file again goes on where it broke off.
      const [previous] = await upload.findPreviousUploads();
      if (previous) upload.resumeFromPreviousUpload(previous);
      upload.start();
    };
    begin().catch(reject);
  });
}

/** What a folder lacks to be an adapter; undefined: nothing. */
export function faultOf(files: readonly File[]): string | undefined {
  const names = new Set(files.map(({ name }) => name));
  if (names.has('adapter_model.bin') && !names.has(WEIGHTS)) {
    return 'adapter_model.bin is a pickle, which is never read. Save the adapter again with safe_serialization=True (PEFT’s default) to get adapter_model.safetensors.';
  }
  const missing = [CONFIG, WEIGHTS].filter((name) => !names.has(name));
  return missing.length === 0 ? undefined : `Missing: ${missing.join(' and ')}.`;
}

const TAKEN = new Set([
  CONFIG,
  WEIGHTS,
  TEMPLATE,
  'generation_config.json',
  'tokenizer_config.json',
  'README.md',
]);
/** The files of a training folder that a version is made of. */
export const isTaken = ({ name }: File): boolean => TAKEN.has(name);
