import type { ImportOrder } from '#adapters/imports/imports.service.js';
import { ImportVersionSchema } from '#contracts/adapters-api.js';
import { AppError } from '#runtime/app-error.js';
import { requestFault } from '#runtime/request-fault.js';

/** The JSON form of an upload: where the files are, and what is said of the version. */
export function parseImportBody(body: unknown): Pick<ImportOrder, 'from' | 'facts'> {
  if (typeof body !== 'object' || body === null) {
    throw new AppError('invalid_request', {
      message: 'Send the files as multipart/form-data, or JSON that names a `source`.',
      param: 'source',
    });
  }
  const result = ImportVersionSchema.safeParse(body);
  if (!result.success) throw requestFault(result.error.issues);
  const { source, config_url, weights_url, chat_template_url, uploads, derive, sha256, ...facts } =
    result.data;
  return { from: { source, config_url, weights_url, chat_template_url, uploads, derive, sha256 }, facts };
}
